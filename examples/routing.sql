-- An outbox whose rows say where they go, for examples/routing.yaml.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid        NOT NULL DEFAULT gen_random_uuid(),
    aggregate_id text        NOT NULL,
    event_type   text        NOT NULL,
    payload      jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    region       text        NOT NULL,                         -- becomes a part of the topic
    tenant       text                                          -- becomes a header
);
