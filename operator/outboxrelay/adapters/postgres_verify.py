"""One question: is this a primary with the table that the spec describes? The operator's probe asks it too."""

import asyncpg

from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.adapters.postgres_table import Reading, TableShape, check_server, check_table, table_not_found
from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault


async def verify(connection: asyncpg.Connection, reading: Reading) -> TableShape:
    """The table's shape; raises SourceFault that says what does not fit, and errors of the database as they are."""
    table = reading.table
    async with connection.transaction():
        server = await connection.fetchrow(sql("describe_server"))
        check_server(connection.get_server_version().major, server)
        found = await connection.fetch(sql("describe_table"), table.schema_, table.name)
        if not found:
            similar = await connection.fetch(sql("similar_tables"), table.name)
            raise table_not_found(table, [row["name"] for row in similar])
    return check_table(reading, {row["name"]: row for row in found}, server["role"])


async def verify_archive(connection: asyncpg.Connection) -> None:
    """See that delivered rows can be archived; raises SourceFault that says what is missing."""
    async with connection.transaction():
        row = await connection.fetchrow(sql("describe_archive"))
    if not row["found"]:
        message = (
            "afterDelivery is Archive, and table outboxrelay.archive is not there; run `outboxrelay sql --part archive`"
        )
        raise SourceFault(Reason.TABLE_NOT_FOUND, message)
    if not row["can_insert"]:
        raise SourceFault(
            Reason.PERMISSION_DENIED,
            f'the user lacks a privilege: GRANT INSERT ON outboxrelay.archive TO "{row["role"]}"',
        )
