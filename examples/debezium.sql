-- The table of Debezium's outbox event router, for examples/debezium.yaml. Where it is there already, only the last two
-- statements are new: a column that tells the order of rows, which producers do not see.
CREATE TABLE outbox (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),  -- header id
    aggregatetype text NOT NULL,                               -- the topic is outbox.event.<aggregatetype>
    aggregateid   text NOT NULL,                               -- the key
    type          text NOT NULL,                               -- header type
    payload       jsonb
);
ALTER TABLE outbox ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX ON outbox (seq);
