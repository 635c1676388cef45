-- The inbox: what a consumer has processed, in the consumer's own database, so that an event that arrives again is
-- dropped. It needs no other part, and may be in a database that has no outbox. It may be run again, and changes
-- nothing then. A consumer's role needs
--   GRANT USAGE ON SCHEMA outboxrelay TO consumer; GRANT INSERT ON outboxrelay.inbox TO consumer;
-- and where it checks numbers, GRANT SELECT, INSERT, UPDATE ON outboxrelay.inbox_key TO consumer;
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';

CREATE SCHEMA IF NOT EXISTS outboxrelay;

CREATE TABLE IF NOT EXISTS outboxrelay.inbox (
    consumer    text        NOT NULL,
    event_id    text        NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
-- Not partitioned: an id must be unique over all times, and a partitioned table cannot promise that.
CREATE INDEX IF NOT EXISTS inbox_accepted_at ON outboxrelay.inbox (accepted_at);

-- The last number of each key, where events carry one.
CREATE TABLE IF NOT EXISTS outboxrelay.inbox_key (
    consumer    text        NOT NULL,
    key         text        NOT NULL,
    last_number bigint      NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, key)
);
CREATE INDEX IF NOT EXISTS inbox_key_accepted_at ON outboxrelay.inbox_key (accepted_at);

-- Call it first in the transaction that processes the event. True: it is new, process it and commit. False: it was
-- processed before, do nothing. While another transaction has accepted it and is still open, this waits for its end:
-- false if that commits, true if it is rolled back. At REPEATABLE READ or SERIALIZABLE it fails with 40001 instead of
-- false when that was committed meanwhile: begin again.
CREATE OR REPLACE FUNCTION outboxrelay.inbox_accept(event_id text, consumer text) RETURNS boolean
    LANGUAGE plpgsql AS
$inbox$
BEGIN
    IF event_id IS NULL OR consumer IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'inbox_accept: the event''s id (header id) and the consumer''s name are needed';
    END IF;
    INSERT INTO outboxrelay.inbox (consumer, event_id) VALUES (consumer, event_id) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$inbox$;
COMMENT ON FUNCTION outboxrelay.inbox_accept(text, text) IS 'outboxrelay sql, part inbox, version 1';

-- For events whose producer numbers them 1, 2, 3 … within each key: call it after inbox_accept was true. Returns how
-- many numbers are missing between the last event of the key and this one: 0 where none is, and for the first event
-- that is seen of a key. NULL: it came after a later one, as a row that was replayed from quarantine does.
CREATE OR REPLACE FUNCTION outboxrelay.inbox_missed(consumer text, key text, number bigint) RETURNS bigint
    LANGUAGE plpgsql AS
$inbox$
#variable_conflict use_column
DECLARE
    before bigint;
BEGIN
    INSERT INTO outboxrelay.inbox_key AS k (consumer, key, last_number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 0;
    END IF;
    SELECT k.last_number INTO before FROM outboxrelay.inbox_key k
        WHERE k.consumer OPERATOR(pg_catalog.=) $1 AND k.key OPERATOR(pg_catalog.=) $2 FOR UPDATE;
    IF $3 OPERATOR(pg_catalog.<=) before THEN
        RETURN NULL;
    END IF;
    UPDATE outboxrelay.inbox_key k SET last_number = $3, accepted_at = pg_catalog.now()
        WHERE k.consumer OPERATOR(pg_catalog.=) $1 AND k.key OPERATOR(pg_catalog.=) $2;
    RETURN $3 OPERATOR(pg_catalog.-) before OPERATOR(pg_catalog.-) 1::bigint;
END
$inbox$;
COMMENT ON FUNCTION outboxrelay.inbox_missed(text, text, bigint) IS 'outboxrelay sql, part inbox, version 1';

-- Forgets what is older than keep, at most at_most rows of each table in one call, the oldest first; returns how many.
-- Call it again, in a transaction of its own each, until it returns 0. It waits for no lock. Keep longer than a
-- repeat can come late: than the topic's retention, and than rows wait in quarantine. An event that comes again after
-- it was forgotten is processed again, and the next number of a key that was forgotten is taken as its first.
CREATE OR REPLACE FUNCTION outboxrelay.inbox_clean(keep interval, at_most integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql AS
$inbox$
DECLARE
    events bigint;
    keys   bigint;
BEGIN
    IF keep IS NULL OR keep < interval '1 hour' OR at_most IS NULL OR at_most < 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'inbox_clean: keep an hour at least, and forget one row at least';
    END IF;
    DELETE FROM outboxrelay.inbox WHERE ctid = ANY (ARRAY(
        SELECT i.ctid FROM outboxrelay.inbox i WHERE i.accepted_at < now() - keep
        ORDER BY i.accepted_at LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS events = ROW_COUNT;
    DELETE FROM outboxrelay.inbox_key WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM outboxrelay.inbox_key k WHERE k.accepted_at < now() - keep
        ORDER BY k.accepted_at LIMIT at_most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS keys = ROW_COUNT;
    RETURN events + keys;
END
$inbox$;
COMMENT ON FUNCTION outboxrelay.inbox_clean(interval, integer) IS 'outboxrelay sql, part inbox, version 1';
COMMIT;
