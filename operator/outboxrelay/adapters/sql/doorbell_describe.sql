-- The doorbell at one outbox table: whether one hangs there, and whether its function looks at locks of class $3.
SELECT c.oid::bigint AS table_id, p.oid IS NOT NULL AS hangs,
       coalesce(position($3 IN p.prosrc) > 0, false) AS current
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid AND p.proname = 'ring'
           JOIN pg_namespace f ON f.oid = p.pronamespace AND f.nspname = 'outboxrelay')
       ON g.tgrelid = c.oid AND g.tgenabled <> 'D'
WHERE n.nspname = $1 AND c.relname = $2
LIMIT 1
