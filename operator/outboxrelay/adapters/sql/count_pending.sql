-- How many rows wait, counted up to $1, and the age in seconds of the first of them in the order of delivery.
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM {table} t WHERE {pending} AND {deliverable} LIMIT $1) AS counted) AS rows,
    (SELECT {age} FROM {table} t WHERE {pending} AND {deliverable} ORDER BY {order} LIMIT 1) AS oldest_age
