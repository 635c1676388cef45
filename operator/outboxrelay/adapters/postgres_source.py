"""The outbox table as the relay reads and settles it."""

from collections.abc import Collection, Sequence
from typing import Any, cast

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_lane import Lane
from outboxrelay.adapters.postgres_statements import Statements, sql
from outboxrelay.adapters.postgres_verify import verify
from outboxrelay.api.source import Source
from outboxrelay.decisions.floor import Snapshot
from outboxrelay.decisions.rows import ReadRequest, Row, RowId

LOWEST_ID = -(2**63)
BEGIN_READ = "BEGIN READ ONLY"
# Losing a settle to a crash of the server can only repeat events, which the next start settles again.
BEGIN_SETTLE = "BEGIN; SET LOCAL synchronous_commit = off"


class _Table:
    """A lane whose connections are verified, and the statements that fit what was found."""

    def __init__(
        self, source: Source, shards: int, credentials: Credentials, application_name: str, begin: str
    ) -> None:
        self._source = source
        self._shards = shards
        self._statements: Statements | None = None
        self.lane = Lane(
            source.database, credentials, application_name=application_name, begin=begin, welcome=self._welcome
        )

    async def statements(self) -> Statements:
        """The statements, after a connection was verified; raises SourceFault."""
        await self.lane.open()
        if self._statements is None:
            raise RuntimeError("a connection that was not verified")
        return self._statements

    async def _welcome(self, connection: asyncpg.Connection) -> None:
        shape = await verify(connection, self._source.table)
        self._statements = Statements(self._source.table, shape, self._shards)


class PostgresSource:
    """Reads pending rows; satisfies the relay's RowSource."""

    def __init__(self, source: Source, shards: int, credentials: Credentials, application_name: str) -> None:
        self._table = _Table(source, shards, credentials, application_name, BEGIN_READ)

    async def open(self) -> None:
        """Connect and verify unless connected; raises SourceFault."""
        await self._table.lane.open()

    async def read(self, request: ReadRequest) -> list[Row]:
        """Pending rows in the order of their ids, in one snapshot; raises SourceFault."""
        statements = await self._table.statements()
        statement = statements.read(
            by_shard=request.shards is not None,
            in_flight=bool(request.in_flight),
            held_keys=bool(request.held_keys),
            held_rows=bool(request.held_rows),
        )
        exclusions: list[Any] = []
        if request.shards is not None:
            exclusions.append(list(request.shards))
        exclusions += [list(part) for part in (request.in_flight, request.held_keys, request.held_rows) if part]
        floor = LOWEST_ID if request.floor is None else request.floor
        # A Record unpacks and indexes like the tuple that Row says it is; copying each would only cost time.
        return cast("list[Row]", await self._table.lane.fetch(statement, floor, request.limit, *exclusions))

    async def read_rows(self, ids: Collection[RowId]) -> list[Row]:
        """Those of ``ids`` that are still pending; raises SourceFault."""
        statements = await self._table.statements()
        return cast("list[Row]", await self._table.lane.fetch(statements.read_rows, list(ids)))

    async def snapshot(self) -> Snapshot:
        """Which transactions are open; raises SourceFault."""
        [row] = await self._table.lane.fetch(sql("snapshot"))
        return Snapshot(xmin=row["xmin"], xmax=row["xmax"])

    async def close(self) -> None:
        """Drop the connection."""
        await self._table.lane.close()


class PostgresSettler:
    """Deletes or marks delivered rows; satisfies the relay's RowSettler."""

    def __init__(self, source: Source, shards: int, credentials: Credentials, application_name: str) -> None:
        self._table = _Table(source, shards, credentials, application_name, BEGIN_SETTLE)

    async def settle(self, ids: Sequence[RowId]) -> None:
        """In one statement; safe to repeat. Raises SourceFault."""
        statements = await self._table.statements()
        await self._table.lane.fetch(statements.settle, list(ids))

    async def close(self) -> None:
        """Drop the connection."""
        await self._table.lane.close()
