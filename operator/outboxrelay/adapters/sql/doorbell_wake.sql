-- Give the locks of buckets $3 of table $2 back, of class $1, and tell the others who sleep, on channel $4.
SELECT count(pg_advisory_unlock($1::integer + bucket, $2::bigint::oid::integer)), pg_notify($4, '')
FROM unnest($3::integer[]) AS bucket
