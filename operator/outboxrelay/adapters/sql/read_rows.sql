-- Given rows, as far as they are still pending.
SELECT row_id, event_id, key, type, CASE WHEN octet_length(payload) <= {largest} THEN payload END, ms,
       octet_length(payload){tail}
FROM (
    SELECT {columns}
    FROM {table} t
    WHERE t.{id} = ANY($1::{ids}) AND {pending}
    ORDER BY {order}{lock}
) AS found
