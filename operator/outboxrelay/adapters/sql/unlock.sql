-- Give slots back.
SELECT pg_advisory_unlock($1::bigint + slot) FROM unnest($2::bigint[]) AS slot
