"""Delivered rows that are kept, and go at last: marked ones in batches, archived ones with their partition."""

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_lane import Lane
from outboxrelay.adapters.postgres_statements import quoted, sql
from outboxrelay.adapters.postgres_table import reading_of
from outboxrelay.adapters.postgres_verify import verify
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault

# Nobody waits for this: it gives way to whoever holds a lock, and losing its last batch to a crash costs nothing.
BEGIN = "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '1s'"


class PostgresRetention:
    """Satisfies the relay's Retention, on a connection of its own."""

    def __init__(self, manifest: RelayManifest, credentials: Credentials | RenewableCredentials) -> None:
        self._manifest = manifest
        self._table = manifest.spec.source.table
        self._delete = ""
        self._lane = Lane(
            manifest.spec.source.database,
            credentials,
            application_name=f"outboxrelay {manifest.identity} retention",
            begin=BEGIN,
            welcome=self._welcome if self._table.after_delivery == "Mark" else None,
        )

    async def delete_marked(self, older_than: float, most: int) -> int:
        """Delete the oldest of the rows that were marked more than ``older_than`` s ago; raises SourceFault."""
        await self._lane.open()
        [row] = await self._lane.fetch(self._delete, older_than, most)
        return int(row["rows"])

    async def rotate_archive(self, keep: float) -> list[str]:
        """Partitions come and go; raises SourceFault."""
        identity = self._manifest.identity
        rows = await self._lane.fetch(sql("rotate_archive"), identity.uid, str(identity), keep)
        return [row["done"] for row in rows]

    async def close(self) -> None:
        """Drop the connection."""
        await self._lane.close()

    async def _welcome(self, connection: asyncpg.Connection) -> None:
        table, columns = self._table, self._table.layout
        shape = await verify(connection, reading_of(self._manifest.spec))
        async with connection.transaction():
            found = await connection.fetchrow(sql("describe_outbox"), table.schema_, table.name, columns.id)
        if not found["can_delete"]:
            grant = f'GRANT DELETE ON {table.qualified_name} TO "{found["role"]}"'
            raise SourceFault(Reason.PERMISSION_DENIED, f"the user lacks a privilege: {grant}")
        self._delete = sql("delete_marked").format(
            table=f"{quoted(table.schema_)}.{quoted(table.name)}",
            id=quoted(columns.id),
            delivered_at=quoted(columns.delivered_at),
            now="now()" if shape.delivered_with_zone else "now() AT TIME ZONE 'UTC'",
        )
