-- Rows move into quarantine, whole: $1 the relay's uid, $2 its name, $3 how many may be there, $4 row ids, $5 reasons,
-- $6 messages. As many as there is room for, the first ones first.
WITH wanted AS (
    SELECT f.row_id, f.reason, f.message
    FROM unnest($4::text[], $5::text[], $6::text[]) WITH ORDINALITY AS f (row_id, reason, message, number)
    ORDER BY f.number
    LIMIT greatest(0, $3::bigint - (SELECT count(*) FROM outboxrelay.quarantine q
                                    WHERE q.relay = $1 AND q.state = 'Quarantined'))
), gone AS (
    DELETE FROM {table} t USING wanted w WHERE t.{id} = w.row_id::{id_type} AND {pending} RETURNING t.*
), tries AS (
    DELETE FROM outboxrelay.attempts a USING wanted w WHERE a.relay = $1 AND a.row_id = w.row_id
    RETURNING a.row_id, greatest(a.started, a.finished) AS attempts
)
INSERT INTO outboxrelay.quarantine
    (relay, relay_name, source_table, row_id, event_id, key, reason, message, attempts, "row")
SELECT $1, $2, {source_table}, w.row_id, {event_id}, {key}, w.reason, w.message, coalesce(tries.attempts, 0),
       row_to_json(gone)
FROM gone JOIN wanted w ON gone.{id} = w.row_id::{id_type} LEFT JOIN tries ON tries.row_id = w.row_id
ORDER BY gone.{id}
RETURNING row_id
