-- Given rows, as far as they are still pending: visible ones too that a transaction changed which is not settled yet,
-- or a row that was mended would look as if it were gone.
SELECT row_id, event_id, key, type, CASE WHEN {size} <= {largest} THEN payload END, ms, {size}{tail_whole}
FROM (
    SELECT {columns}
    FROM {table} t
    WHERE t.{id} = ANY($1::{ids}) AND {there}
    ORDER BY {order}{lock}
) AS found
