-- Every column of one table with its base type and what this user may do; no row when the table does not exist.
SELECT a.attname AS name,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type,
       has_schema_privilege(n.oid, 'USAGE') AS schema_usage,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS can_select,
       has_column_privilege(c.oid, a.attnum, 'UPDATE') AS can_update,
       has_table_privilege(c.oid, 'DELETE') AS can_delete
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'f')
ORDER BY a.attnum
