-- The archive, for relays with afterDelivery: Archive. Parted by relay, so that none waits for another, then by day
-- (UTC), so that old rows go by dropping a table. Run it after the schema, as the same role.
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS outboxrelay.archive (
    relay       text        NOT NULL,  -- uid of the OutboxRelay
    archived_at timestamptz NOT NULL,
    row_id      text        NOT NULL,
    event_id    text        NOT NULL,
    key         text,
    "row"       json        NOT NULL   -- the whole row; json columns keep their text
) PARTITION BY LIST (relay);
CREATE INDEX IF NOT EXISTS archive_event_id ON outboxrelay.archive (event_id);

-- How long each relay wants its rows kept. Its wish ends when all that it archived is older.
CREATE TABLE IF NOT EXISTS outboxrelay.archive_retention (
    relay      text        PRIMARY KEY,
    relay_name text        NOT NULL,
    keep       interval    NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now()
);

-- Makes the partitions of relay $1 ($2: namespace/name) for today and the two days after, and drops, of every relay,
-- those whose rows are all older than it wants. A row is kept for $3 at least, and a day more at most.
-- Relays call it hourly. Returns what it did; 'busy' = not now, since somebody reads there.
CREATE OR REPLACE FUNCTION outboxrelay.rotate_archive(for_relay text, for_name text, keep_for interval)
    RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' SET lock_timeout = '2s' SET timezone = 'UTC' AS
$rotate$
DECLARE
    today  date := current_date;
    parent text := 'archive_' || left(md5(for_relay), 16);
    name   text;
    old    record;
BEGIN
    IF for_relay IS NULL OR for_name IS NULL OR keep_for IS NULL OR keep_for < interval '1 minute' THEN
        RAISE EXCEPTION 'rotate_archive: the relay, its name, and an interval of at least one minute are needed';
    END IF;
    -- One at a time.
    LOCK TABLE outboxrelay.archive_retention IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO outboxrelay.archive_retention AS r (relay, relay_name, keep) VALUES (for_relay, for_name, keep_for)
        ON CONFLICT (relay) DO UPDATE SET relay_name = for_name, keep = keep_for, asked_at = now();
    -- Made apart and attached: unlike CREATE … PARTITION OF that waits for nobody who reads or writes.
    IF to_regclass('outboxrelay.' || parent) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE outboxrelay.%1$I (LIKE outboxrelay.archive INCLUDING DEFAULTS) PARTITION BY RANGE (archived_at);'
            'ALTER TABLE outboxrelay.archive ATTACH PARTITION outboxrelay.%1$I FOR VALUES IN (%2$L)', parent, for_relay);
        RETURN NEXT 'created ' || parent;
    END IF;
    FOR day IN 0 .. 2 LOOP
        name := parent || '_' || to_char(today + day, 'YYYYMMDD');
        IF to_regclass('outboxrelay.' || name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE outboxrelay.%1$I (LIKE outboxrelay.archive INCLUDING DEFAULTS);'
                'ALTER TABLE outboxrelay.%2$I ATTACH PARTITION outboxrelay.%1$I FOR VALUES FROM (%3$L) TO (%4$L)',
                name, parent, (today + day)::timestamptz, (today + day + 1)::timestamptz);
            RETURN NEXT 'created ' || name;
        END IF;
    END LOOP;
    FOR old IN
        SELECT d.relname AS name
        FROM outboxrelay.archive_retention r
        JOIN pg_inherits i ON i.inhparent = to_regclass('outboxrelay.archive_' || left(md5(r.relay), 16))
        JOIN pg_class d ON d.oid = i.inhrelid
        WHERE to_date(right(d.relname, 8), 'YYYYMMDD') + 1 < now() - r.keep
        ORDER BY d.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE outboxrelay.%I', old.name);
            RETURN NEXT 'dropped ' || old.name;
        EXCEPTION WHEN lock_not_available THEN
            RETURN NEXT 'busy ' || old.name;
        END;
    END LOOP;
    -- A relay that is gone: nothing of it is left, and nobody asks for it any more.
    FOR old IN
        SELECT r.relay, 'archive_' || left(md5(r.relay), 16) AS name
        FROM outboxrelay.archive_retention r
        WHERE r.asked_at < now() - r.keep - interval '4 days' AND NOT EXISTS (
            SELECT FROM pg_inherits i
            WHERE i.inhparent = to_regclass('outboxrelay.archive_' || left(md5(r.relay), 16)))
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS outboxrelay.%I', old.name);
            DELETE FROM outboxrelay.archive_retention r WHERE r.relay = old.relay;
            RETURN NEXT 'dropped ' || old.name;
        EXCEPTION WHEN lock_not_available THEN
            RETURN NEXT 'busy ' || old.name;
        END;
    END LOOP;
END
$rotate$;
REVOKE ALL ON FUNCTION outboxrelay.rotate_archive(text, text, interval) FROM PUBLIC;
COMMIT;
