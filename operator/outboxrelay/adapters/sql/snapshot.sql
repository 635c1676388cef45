-- Which transactions are open, and which of them write to the outbox table, its partitions or children: whoever inserts
-- locks the table before an id is drawn, and lets go only when what it did can be seen. Locks are visible to everybody.
WITH RECURSIVE tree (relation) AS (
    SELECT {table}::regclass::oid
    UNION
    SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.relation
)
SELECT pg_snapshot_xmin(s)::text::bigint AS xmin, pg_snapshot_xmax(s)::text::bigint AS xmax,
       ARRAY(
           SELECT virtualtransaction FROM pg_locks
           WHERE locktype = 'relation' AND granted AND relation IN (SELECT relation FROM tree)
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareUpdateExclusiveLock', 'ShareLock')
       ) AS writers
FROM pg_current_snapshot() AS s
