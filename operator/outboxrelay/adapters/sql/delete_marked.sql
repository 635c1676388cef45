-- At most $2 of the rows that were marked more than $1 seconds ago go, the oldest first.
WITH gone AS (
    DELETE FROM {table} WHERE {id} = ANY(ARRAY(
        SELECT t.{id} FROM {table} t
        WHERE t.{delivered_at} < {now} - make_interval(secs => $1::double precision)
        ORDER BY t.{delivered_at}
        LIMIT $2::integer
    )) RETURNING 1
)
SELECT count(*) AS rows FROM gone
