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
    IF EXISTS (SELECT FROM outboxrelay.schema_version WHERE version > 1) THEN
        RAISE EXCEPTION 'schema outboxrelay was made by a newer release than this script (1): use its own script';
    END IF;
END
$check$;
INSERT INTO outboxrelay.schema_version (version) VALUES (1) ON CONFLICT (only_row) DO NOTHING;

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

-- Relays that sleep and want to be woken. Unlogged: what a crash takes from it, the next sleep writes again.
CREATE UNLOGGED TABLE IF NOT EXISTS outboxrelay.doorbell (
    table_id oid         NOT NULL,
    listener text        NOT NULL,
    until    timestamptz NOT NULL,
    PRIMARY KEY (table_id, listener)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- The trigger function of the doorbell: notifies only while somebody sleeps. Writers need no privilege for it.
CREATE OR REPLACE FUNCTION outboxrelay.ring() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS
$ring$
BEGIN
    IF EXISTS (
        SELECT FROM outboxrelay.doorbell d WHERE d.table_id = TG_RELID AND d.until > clock_timestamp()
    ) THEN
        PERFORM pg_notify('outboxrelay_' || TG_RELID::text, '');
    END IF;
    RETURN NULL;
END
$ring$;
REVOKE ALL ON FUNCTION outboxrelay.ring() FROM PUBLIC;
COMMIT;
