-- lock
-- Wait for slots, one after the other, until each is this session's: $1 is the relay's lowest lock key.
SELECT pg_advisory_lock($1::bigint + slot) FROM unnest($2::bigint[]) AS slot
