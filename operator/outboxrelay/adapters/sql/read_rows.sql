-- Given rows, as far as they are still pending.
SELECT {columns}
FROM {table} t
WHERE t.{id} = ANY($1::bigint[]) AND {pending}
ORDER BY t.{id}
