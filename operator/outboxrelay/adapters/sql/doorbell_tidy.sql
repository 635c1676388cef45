-- What listeners left behind that are gone.
DELETE FROM outboxrelay.doorbell WHERE until < now() - interval '1 hour'
