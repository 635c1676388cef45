-- The advisory locks of one relay in this database: $1 and $2 are the two halves of its lowest lock key.
SELECT (l.objid::bigint - $2::bigint)::integer AS slot, l.pid, pg_backend_pid() AS own
FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = $1::bigint AND l.objid::bigint BETWEEN $2::bigint AND $2::bigint + 65535
UNION ALL
SELECT -1, 0, pg_backend_pid()
