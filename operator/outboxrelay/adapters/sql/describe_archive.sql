-- What this user may do with the archive; $1 is the relay's uid. Nulls where a thing is not there.
WITH archive AS (
    SELECT c.oid, n.oid AS schema_id
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'archive'
    WHERE n.nspname = 'outboxrelay'
),
rotate AS (
    SELECT p.oid FROM pg_proc p JOIN archive a ON p.pronamespace = a.schema_id
    WHERE p.proname = 'rotate_archive' AND oidvectortypes(p.proargtypes) = 'text, text, interval'
)
SELECT has_schema_privilege((SELECT schema_id FROM archive), 'USAGE') AS schema_usage,
       has_table_privilege((SELECT oid FROM archive), 'INSERT') AS can_insert,
       has_function_privilege((SELECT oid FROM rotate), 'EXECUTE') AS can_rotate,
       current_user::text AS role,
       EXISTS (
           SELECT FROM pg_inherits i JOIN pg_class d ON d.oid = i.inhrelid
           WHERE i.inhparent = (
               SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'outboxrelay' AND c.relname = 'archive_' || left(md5($1::text), 16)
           ) AND right(d.relname, 8) = to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')
       ) AS has_today
