-- An outbox partitioned by range of the id, for examples/partitioned.yaml. Make partitions ahead of the ids, as pg_partman
-- does; the last one takes what no other does, so that no insert fails. Empty ones can be dropped at any time.
CREATE TABLE outbox (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    event_id     uuid        NOT NULL DEFAULT gen_random_uuid(),
    aggregate_id text        NOT NULL,
    event_type   text        NOT NULL,
    payload      jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES FROM (0) TO (10000000);
CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES FROM (10000000) TO (20000000);
CREATE TABLE outbox_rest PARTITION OF outbox DEFAULT;
