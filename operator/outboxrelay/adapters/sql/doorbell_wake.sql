-- Listener $2 of table $1 does not ask any more.
UPDATE outboxrelay.doorbell SET until = '-infinity' WHERE table_id = $1::bigint::oid AND listener = $2
