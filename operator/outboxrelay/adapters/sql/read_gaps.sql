        -- In one snapshot what is behind the front and what appeared in the gaps from $3 to $4. The outer order is that of
        -- row ids: only integers have a front.
        SELECT * FROM (
            (SELECT {columns}
             FROM {table} t
             WHERE {from_floor} AND {pending}{filters}
             ORDER BY {order}
             LIMIT $2)
            UNION ALL
            (SELECT within.*
             FROM unnest($3::bigint[], $4::bigint[]) AS gap (low, high)
             CROSS JOIN LATERAL (
                 SELECT {columns}
                 FROM {table} t
                 WHERE t.{id} BETWEEN gap.low AND gap.high AND {pending}{filters}
                 ORDER BY {order}
                 LIMIT $2
             ) AS within)
        ) AS both_parts
        ORDER BY row_id
        LIMIT $2
