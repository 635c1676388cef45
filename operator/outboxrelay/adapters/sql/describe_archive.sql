-- Whether the archive is there, and whether this user may fill it.
SELECT c.oid IS NOT NULL AS found,
       coalesce(has_table_privilege(c.oid, 'INSERT') AND has_schema_privilege(n.oid, 'USAGE'), false) AS can_insert,
       current_user::text AS role
FROM (SELECT 1) AS one
LEFT JOIN pg_namespace n ON n.nspname = 'outboxrelay'
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'archive'
