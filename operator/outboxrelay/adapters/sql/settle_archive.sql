-- Delivered rows move, whole, to the archive: $2 is the relay's uid.
WITH gone AS (DELETE FROM {table} t WHERE t.{id} = ANY($1::{ids}) RETURNING t.*)
INSERT INTO outboxrelay.archive (relay, archived_at, row_id, event_id, key, "row")
SELECT $2, now(), gone.{id}::text, {archived_event_id}, {archived_key}, row_to_json(gone.*) FROM gone
