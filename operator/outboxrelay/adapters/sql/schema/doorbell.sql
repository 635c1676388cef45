-- The doorbell of {shown}: an insert wakes the relay while it sleeps, so that it may poll rarely and still be quick.
-- Polling works without it. The schema must be there first. On a partitioned table the trigger belongs on the parent;
-- rows that are inserted into a partition directly are found by polling.
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';
DROP TRIGGER IF EXISTS outboxrelay_doorbell ON {table};
CREATE TRIGGER outboxrelay_doorbell AFTER INSERT ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION outboxrelay.ring();
COMMIT;
