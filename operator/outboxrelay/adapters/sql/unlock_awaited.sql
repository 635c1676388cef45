-- unlock_awaited
-- Give back the lock that session $1 waits for. The server passes it on at once, past everybody who only tries.
SELECT given FROM (
  SELECT pg_advisory_unlock((l.classid::bigint << 32) | l.objid::bigint) AS given
  FROM pg_locks l
  WHERE l.locktype = 'advisory' AND NOT l.granted AND l.objsubid = 1 AND l.pid = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  OFFSET 0
) AS awaited WHERE given
