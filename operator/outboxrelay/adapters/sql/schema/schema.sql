-- Schema outboxrelay: what relays remember of rows that could not be sent, who is running, and what is archived.
-- Run it as the role that shall own these tables. It may be run again at any time, and changes nothing then.
-- A relay delivers without it, and says in its status what it cannot do.
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';

CREATE SCHEMA IF NOT EXISTS outboxrelay;
COMMENT ON SCHEMA outboxrelay IS 'Tables of outbox relays; printed by: outboxrelay sql';

-- Which release of these tables is here: a later release of this script migrates from what it finds.
CREATE TABLE IF NOT EXISTS outboxrelay.schema_version (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    version    integer     NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
DO $check$
BEGIN
    IF EXISTS (SELECT FROM outboxrelay.schema_version WHERE version > 2) THEN
        RAISE EXCEPTION 'schema outboxrelay was made by a newer release than this script (2): use its own script';
    END IF;
END
$check$;
INSERT INTO outboxrelay.schema_version AS here (version) VALUES (2)
ON CONFLICT (only_row) DO UPDATE SET version = 2, applied_at = now() WHERE here.version < 2;

-- Attempts to send rows that failed before, or were under way when a process ended. Healthy rows are never here.
CREATE TABLE IF NOT EXISTS outboxrelay.attempts (
    relay      text        NOT NULL,  -- uid of the OutboxRelay
    relay_name text        NOT NULL,  -- namespace/name, for people
    row_id     text        NOT NULL,
    event_id   text,
    key        text,
    started    integer     NOT NULL DEFAULT 0,
    finished   integer     NOT NULL DEFAULT 0,
    reason     text,
    message    text,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (relay, row_id)
);

-- Rows that were moved aside, whole. Column "row" is json, not jsonb: json columns of the row keep their text.
CREATE TABLE IF NOT EXISTS outboxrelay.quarantine (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relay          text        NOT NULL,
    relay_name     text        NOT NULL,
    source_table   text        NOT NULL,
    row_id         text        NOT NULL,
    event_id       text,
    key            text,
    topic          text,
    reason         text        NOT NULL,
    message        text        NOT NULL,
    attempts       integer     NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    "row"          json        NOT NULL,
    state          text        NOT NULL DEFAULT 'Quarantined'
                               CHECK (state IN ('Quarantined', 'Replayed', 'Skipped', 'Dropped')),
    resolved_at    timestamptz,
    resolved_by    text,
    note           text
);
CREATE INDEX IF NOT EXISTS quarantine_relay_state ON outboxrelay.quarantine (relay, state, id);
CREATE INDEX IF NOT EXISTS quarantine_relay_key ON outboxrelay.quarantine (relay, key);

-- Who did what with quarantined rows.
CREATE TABLE IF NOT EXISTS outboxrelay.quarantine_audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    by_role    text        NOT NULL DEFAULT session_user,
    action     text        NOT NULL,
    relay      text        NOT NULL,
    relay_name text        NOT NULL,
    ids        bigint[]    NOT NULL DEFAULT '{}',  -- of quarantine
    filter     text,
    rows       integer     NOT NULL,
    note       text
);

-- Members that run, or ended without leaving: those may have died of the row they were sending.
CREATE TABLE IF NOT EXISTS outboxrelay.member (
    relay      text        NOT NULL,
    member     integer     NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (relay, member)
);

-- The trigger function of the doorbell: notifies only while a relay sleeps. A relay that sleeps holds the advisory locks
-- of class 1652845568 to ...71 and the table's oid; a writer tries to share one of the four until its transaction ends,
-- and rings where it cannot. No table is read and no lock is waited for; the function has no privilege of its own.
-- Version 1 read a table, outboxrelay.doorbell. It may be dropped when every relay is of a release that came after it.
CREATE OR REPLACE FUNCTION outboxrelay.ring() RETURNS trigger
    LANGUAGE plpgsql AS
$ring$
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock_shared(
        1652845568 OPERATOR(pg_catalog.+) (pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.&) 3),
        TG_RELID::pg_catalog.int4
    ) THEN
        PERFORM pg_catalog.pg_notify('outboxrelay_' OPERATOR(pg_catalog.||) TG_RELID::pg_catalog.text, '');
    END IF;
    RETURN NULL;
END
$ring$;
REVOKE ALL ON FUNCTION outboxrelay.ring() FROM PUBLIC;
COMMIT;
