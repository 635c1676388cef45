-- One outbox table: the type of its id column, and whether the doorbell hangs at it. $3 is the id column.
SELECT c.oid::bigint AS table_id,
       (SELECT format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attname = $3) AS id_type,
       has_table_privilege(c.oid, 'DELETE') AS can_delete,
       EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
               JOIN pg_namespace f ON f.oid = p.pronamespace
               WHERE g.tgrelid = c.oid AND f.nspname = 'outboxrelay' AND p.proname = 'ring'
                 AND g.tgenabled <> 'D') AS has_doorbell,
       current_user::text AS role
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
