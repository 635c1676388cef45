"""One question: is this a primary with the table that the spec describes? The operator's probe asks it too."""

from typing import NamedTuple

import asyncpg

from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.adapters.postgres_table import Reading, TableShape, check_server, check_table, table_not_found
from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault

NO_ARCHIVE = (
    "afterDelivery is Archive, and outboxrelay.archive is not there: run what "
    "`outboxrelay sql --part schema --part archive` prints"
)


class Verified(NamedTuple):
    """What a connection leads to."""

    shape: TableShape
    server: str
    """When it was started: another one, or the same after a restart, says another time."""


async def verify(connection: asyncpg.Connection, reading: Reading) -> Verified:
    """The server and the table; raises SourceFault that says what does not fit, and the database's own errors."""
    table = reading.table
    async with connection.transaction():
        server = await connection.fetchrow(sql("describe_server"))
        check_server(connection.get_server_version().major, server)
        found = await connection.fetch(sql("describe_table"), table.schema_, table.name)
        if not found:
            similar = await connection.fetch(sql("similar_tables"), table.name)
            raise table_not_found(table, [row["name"] for row in similar])
    return Verified(check_table(reading, {row["name"]: row for row in found}, server["role"]), server["started"])


async def verify_archive(connection: asyncpg.Connection, identity: RelayIdentity, keep: float) -> None:
    """See that rows can be archived, and kept for ``keep`` seconds; raises SourceFault that says what is missing.

    Where nobody was there for days, today has no partition yet: it is made.
    """
    async with connection.transaction():
        found = await connection.fetchrow(sql("describe_archive"), identity.uid)
        role = found["role"]
        for can, grant in (
            ("schema_usage", "USAGE ON SCHEMA outboxrelay"),
            ("can_insert", "INSERT ON outboxrelay.archive"),
            ("can_rotate", "EXECUTE ON FUNCTION outboxrelay.rotate_archive(text, text, interval)"),
        ):
            if found[can] is None:
                raise SourceFault(Reason.TABLE_NOT_FOUND, NO_ARCHIVE)
            if not found[can]:
                message = f'afterDelivery is Archive, and the user lacks a privilege: GRANT {grant} TO "{role}"'
                raise SourceFault(Reason.PERMISSION_DENIED, message)
        if not found["has_today"]:
            await connection.fetch(sql("rotate_archive"), identity.uid, str(identity), keep)
