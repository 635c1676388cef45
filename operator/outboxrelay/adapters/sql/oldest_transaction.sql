-- The transaction with the oldest id that is still open. Locks are visible to everybody; what else is known of the
-- session, only to its own role and to pg_read_all_stats.
SELECT l.pid, x.gid, a.usename::text AS role, a.application_name AS application, a.state,
       extract(epoch FROM now() - coalesce(a.xact_start, x.prepared))::float8 AS seconds
FROM pg_locks l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts x ON x.transaction = l.transactionid
WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'
  AND (l.pid IS NULL OR l.pid <> pg_backend_pid())
ORDER BY age(l.transactionid) DESC
LIMIT 1
