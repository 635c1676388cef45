-- Pending rows in the order of their ids. {{filters}} are exclusions with their own parameters from $3 on.
SELECT {columns}
FROM {table} t
WHERE t.{id} >= $1::bigint AND {pending}{filters}
ORDER BY t.{id}
LIMIT $2
