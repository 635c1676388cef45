-- Of the tables that the relay remembers in: whether they are there, and which privileges this user lacks on them.
SELECT w.name, c.oid IS NOT NULL AS found,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS schema_usage,
       array(SELECT p FROM unnest(w.privileges) AS p
             WHERE c.oid IS NULL OR NOT has_table_privilege(c.oid, p)) AS lacking,
       current_user::text AS role
FROM (VALUES ('attempts', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
             ('quarantine', ARRAY['SELECT', 'INSERT']),
             ('member', ARRAY['SELECT', 'INSERT', 'DELETE'])) AS w (name, privileges)
LEFT JOIN pg_namespace n ON n.nspname = 'outboxrelay'
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
