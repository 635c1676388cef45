-- A good outbox table. The relay also takes a table that exists already, in any shape that spec.source.table.columns
-- can describe.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the order of delivery; keep CACHE at 1
    event_id     uuid        NOT NULL DEFAULT gen_random_uuid(),   -- receivers drop duplicates by it
    aggregate_id text        NOT NULL,                             -- the ordering key
    event_type   text        NOT NULL,
    payload      jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- Delivered rows are deleted, so the table stays small while its dead rows come and go: vacuum it early and often.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold    = 5000,
    autovacuum_vacuum_cost_delay   = 0
);

-- With afterDelivery: Mark, rows stay. Then the table needs the column and an index of what is pending:
--   ALTER TABLE outbox ADD COLUMN delivered_at timestamptz;
--   CREATE INDEX outbox_pending ON outbox (id) WHERE delivered_at IS NULL;

-- All that the relay's own role needs, column by column: outboxrelay sql --table outbox --role outbox_relay
-- The least by hand (with Mark: UPDATE (delivered_at) instead of DELETE):
--   GRANT SELECT, DELETE ON outbox TO outbox_relay;
