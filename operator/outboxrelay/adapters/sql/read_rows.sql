-- Given rows, as far as they are still pending.
SELECT row_id, event_id, key, type, CASE WHEN octet_length(payload) <= {largest} THEN payload END, headers, ms,
       octet_length(payload), topic, partition, extras
FROM (
    SELECT {columns}
    FROM {table} t
    WHERE t.{id} = ANY($1::{ids}) AND {pending}
    ORDER BY {order}{lock}
) AS found
