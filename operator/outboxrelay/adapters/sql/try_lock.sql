-- Slots that are this session's now: $1 is the relay's lowest lock key.
SELECT slot FROM unnest($2::bigint[]) AS slot WHERE pg_try_advisory_lock($1::bigint + slot)
