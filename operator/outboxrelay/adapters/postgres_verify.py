"""One question: is this a primary with the table that the spec describes? The operator's probe asks it too."""

import asyncpg

from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.adapters.postgres_table import TableShape, check_server, check_table, table_not_found
from outboxrelay.api.source import Table


async def verify(connection: asyncpg.Connection, table: Table) -> TableShape:
    """The table's shape; raises SourceFault that says what does not fit, and errors of the database as they are."""
    async with connection.transaction():
        server = await connection.fetchrow(sql("describe_server"))
        check_server(connection.get_server_version().major, server)
        found = await connection.fetch(sql("describe_table"), table.schema_, table.name)
        if not found:
            similar = await connection.fetch(sql("similar_tables"), table.name)
            raise table_not_found(table, [row["name"] for row in similar])
    return check_table(table, {row["name"]: row for row in found}, server["role"])
