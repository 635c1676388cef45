-- One outbox table: the type of its id column, and what this user may do. $3 is the id column.
SELECT c.oid::bigint AS table_id,
       (SELECT format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attname = $3) AS id_type,
       has_table_privilege(c.oid, 'DELETE') AS can_delete,
       current_user::text AS role
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
