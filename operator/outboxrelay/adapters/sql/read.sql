-- Pending rows in the order of delivery: $2 at most, and none behind the one that fills {budget} bytes of payload and
-- headers. The window goes along the order of the inner query; payload and headers of more than {largest} bytes stay in
-- the database.
SELECT row_id, event_id, key, type, CASE WHEN size <= {largest} THEN payload END, ms, size{tail_whole}
FROM (
    SELECT *, {size} AS size,
           sum(coalesce(octet_length(payload), 0) + {weight}) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS before
    FROM (
{found}    ) AS found
) AS measured
WHERE before IS NULL OR before < {budget}
