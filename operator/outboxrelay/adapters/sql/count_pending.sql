-- How many rows wait, counted up to $1, and the age in seconds of the first of them in the order of delivery; beside it,
-- what decides whether they could be settled here.
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM {table} t WHERE {pending} AND {deliverable} LIMIT $1) AS counted) AS rows,
    (SELECT {age} FROM {table} t WHERE {pending} AND {deliverable} ORDER BY {order} LIMIT 1) AS oldest_age,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS refuses_writes
