-- Take the locks of buckets $3 of table $2, of class $1. Of those that are not free, whether another session asks the
-- writers already; else they are in the middle of a transaction.
SELECT bucket, taken,
       NOT taken AND EXISTS (
           SELECT FROM pg_locks l
           WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.mode = 'ExclusiveLock'
             AND l.classid::bigint = $1::bigint + bucket AND l.objid::bigint = $2::bigint
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) AS elsewhere
FROM (SELECT bucket, pg_try_advisory_lock($1::integer + bucket, $2::bigint::oid::integer) AS taken
      FROM unnest($3::integer[]) AS bucket OFFSET 0) AS tried
