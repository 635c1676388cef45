-- Listener $2 of table $1 asks to be woken in the next $3 seconds.
INSERT INTO outboxrelay.doorbell (table_id, listener, until)
VALUES ($1::bigint::oid, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (table_id, listener) DO UPDATE SET until = excluded.until
