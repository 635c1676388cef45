        -- Filters are exclusions with their own parameters.
        SELECT {columns}
        FROM {table} t
        WHERE {from_floor} AND {pending}{filters}
        ORDER BY {order}
        LIMIT $2{lock}
