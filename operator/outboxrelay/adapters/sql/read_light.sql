-- As read, for tables of small rows: a payload of more than {light} bytes stays in the database, which bounds what comes
-- without summing up sizes.
SELECT row_id, event_id, key, type, CASE WHEN octet_length(payload) <= {light} THEN payload END, ms,
       octet_length(payload){tail}
FROM (
    SELECT {columns}
    FROM {table} t
    WHERE {from_floor} AND {pending}{filters}
    ORDER BY {order}
    LIMIT $2{lock}
) AS found
