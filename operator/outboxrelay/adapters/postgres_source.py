"""The outbox table as the relay reads and settles it."""

from collections.abc import Collection, Sequence
from typing import Any, cast

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_errors import lost
from outboxrelay.adapters.postgres_lane import Lane
from outboxrelay.adapters.postgres_statements import LIGHT_BYTES, Statements, sql
from outboxrelay.adapters.postgres_table import reading_of
from outboxrelay.adapters.postgres_verify import verify, verify_archive
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.batching import may_be_fetched_alone
from outboxrelay.decisions.floor import Holder, Snapshot
from outboxrelay.decisions.ranges import ranges, span
from outboxrelay.decisions.retention import kept_seconds
from outboxrelay.decisions.rows import PAYLOAD, ROW_ID, SIZE, ReadRequest, Row, RowId
from outboxrelay.errors import ServerChanged

LOWEST_ID = -(2**63)
BEGIN_READ = "BEGIN READ ONLY"
# Losing a settle to a crash of the server can only repeat events, which the next start settles again.
BEGIN_SETTLE = "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '300ms'"
QUEUE_IDLE_SECONDS = 60
"""Beyond what a delivery may take: after that the server takes the locks from a process that hangs, or is gone."""


class _Table:
    """A lane whose connections are verified, and the statements that fit what was found."""

    def __init__(
        self,
        manifest: RelayManifest,
        credentials: Credentials | RenewableCredentials,
        purpose: str,
        begin: str,
        *,
        tells: bool = False,
    ) -> None:
        spec = manifest.spec
        self._reading = reading_of(spec)
        self._shards = spec.ordering.shards
        self._identity = manifest.identity
        archives = spec.source.table.after_delivery == "Archive"
        self._keep = kept_seconds(spec.source.table) if archives else None
        self._origin = (manifest.identity.uid,) if archives else ()
        self._statements: Statements | None = None
        self.server = ""
        """Which server the connection leads to."""
        self._light = True
        """Whether rows were small so far."""
        self.lane = Lane(
            spec.source.database,
            credentials,
            application_name=f"outboxrelay {manifest.identity} {purpose}",
            begin=begin,
            welcome=self._welcome,
            tells=tells,
        )

    async def statements(self) -> Statements:
        """The statements, after a connection was verified; raises SourceFault."""
        await self.lane.open()
        if self._statements is None:
            raise RuntimeError("a connection that was not verified")
        return self._statements

    async def read(self, request: ReadRequest, *, hold: bool = False) -> list[Row]:
        """Pending rows; with ``hold`` the transaction stays open. Raises SourceFault."""
        statements = await self.statements()
        if self._light:
            rows = await self._read(statements, request, light=True, hold=hold)
            large = [row[ROW_ID] for row in rows if row[PAYLOAD] is None and row[SIZE] is not None]
            if not large:
                return rows
            if may_be_fetched_alone(len(large), sum(row[SIZE] or 0 for row in rows)):
                whole = {row[ROW_ID]: row for row in await self.read_rows(large, hold=hold)}
                # Where one has changed since, only a read in one snapshot tells what is behind it.
                if len(whole) == len(large):
                    return [whole.get(row[ROW_ID], row) for row in rows]
        rows = await self._read(statements, request, light=False, hold=hold)
        self._light = all((row[SIZE] or 0) <= LIGHT_BYTES for row in rows)
        return rows

    async def _read(self, statements: Statements, request: ReadRequest, *, light: bool, hold: bool) -> list[Row]:
        statement = statements.read(
            light=light,
            gaps=bool(request.gaps),
            by_shard=request.shards is not None,
            in_flight=bool(request.in_flight),
            held_keys=bool(request.held_keys),
            held_rows=bool(request.held_rows),
            blocked=bool(request.blocked_topics),
        )
        more: list[Any] = []
        if request.gaps:
            more += [[low for low, _ in request.gaps], [high for _, high in request.gaps]]
        if request.shards is not None:
            more.append(list(request.shards))
        if request.in_flight and statements.numeric_ids:
            lows, highs = ranges(cast("Sequence[int]", request.in_flight))
            more += [highs, lows]
        elif request.in_flight:
            more.append(list(request.in_flight))
        excluded = (request.held_keys, request.held_rows, request.blocked_topics)
        more += [list(part) for part in excluded if part]
        floor = LOWEST_ID if request.floor is None else request.floor
        fetch = self.lane.hold if hold else self.lane.fetch
        # A Record unpacks and indexes like the tuple that Row says it is; copying each would only cost time.
        return cast("list[Row]", await fetch(statement, floor, request.limit, *more))

    async def read_rows(self, ids: Collection[RowId], *, hold: bool = False) -> list[Row]:
        """Those of ``ids`` that are still pending; raises SourceFault."""
        statements = await self.statements()
        fetch = self.lane.hold if hold else self.lane.fetch
        return cast("list[Row]", await fetch(statements.read_rows, list(ids)))

    async def still_pending(self, ids: Collection[RowId]) -> frozenset[RowId]:
        """Those of ``ids`` that are still pending; raises SourceFault."""
        statements = await self.statements()
        rows = await self.lane.fetch(statements.still_pending, list(ids))
        return frozenset(row["row_id"] for row in rows)

    async def settle(self, ids: Sequence[RowId]) -> None:
        """In one statement; raises SourceFault."""
        statements = await self.statements()
        found = span(cast("Sequence[int]", ids)) if statements.settle_span else None
        if statements.settle_span and found:
            await self.lane.fetch(statements.settle_span, *found)
        else:
            await self.lane.fetch(statements.settle, list(ids), *self._origin)

    async def snapshot(self) -> Snapshot:
        """Which transactions are open; raises SourceFault."""
        statements = await self.statements()
        [row] = await self.lane.fetch(statements.snapshot)
        return Snapshot(xmin=row["xmin"], xmax=row["xmax"], writers=frozenset(row["writers"]))

    async def oldest_transaction(self) -> Holder | None:
        """Who holds the oldest transaction open; raises SourceFault."""
        rows = await self.lane.fetch(sql("oldest_transaction"))
        return _holder(rows[0]) if rows else None

    async def _welcome(self, connection: asyncpg.Connection) -> None:
        shape, server = await verify(connection, self._reading)
        before, self.server = self.server, server
        if before and before != server:
            raise server_changed()
        if self._keep is not None:
            await verify_archive(connection, self._identity, self._keep)
        self._statements = Statements(self._reading, shape, self._shards)


class PostgresSource:
    """Reads pending rows; satisfies the relay's RowSource."""

    def __init__(self, manifest: RelayManifest, credentials: Credentials | RenewableCredentials) -> None:
        self._table = _Table(manifest, credentials, "read", BEGIN_READ, tells=True)
        self.lane = self._table.lane

    @property
    def server(self) -> str:
        """Which server the rows came from."""
        return self._table.server

    async def open(self) -> None:
        """Connect and verify unless connected; raises SourceFault."""
        await self._table.lane.open()

    async def read(self, request: ReadRequest) -> list[Row]:
        """Pending rows in the order of their ids, in one snapshot; raises SourceFault."""
        return await self._table.read(request)

    async def read_rows(self, ids: Collection[RowId]) -> list[Row]:
        """Those of ``ids`` that are still pending; raises SourceFault."""
        return await self._table.read_rows(ids)

    async def still_pending(self, ids: Collection[RowId]) -> frozenset[RowId]:
        """Those of ``ids`` that are still pending; raises SourceFault."""
        return await self._table.still_pending(ids)

    async def snapshot(self) -> Snapshot:
        """Which transactions are open; raises SourceFault."""
        return await self._table.snapshot()

    async def oldest_transaction(self) -> Holder | None:
        """Who holds the oldest transaction open; raises SourceFault."""
        return await self._table.oldest_transaction()

    async def release(self) -> None:
        """Nothing is held: rows are owned."""

    async def close(self) -> None:
        """Drop the connection."""
        await self._table.lane.close()


class PostgresSettler:
    """Deletes, marks or archives delivered rows; satisfies the relay's RowSettler."""

    def __init__(
        self, manifest: RelayManifest, credentials: Credentials | RenewableCredentials, source: PostgresSource
    ) -> None:
        self._table = _Table(manifest, credentials, "settle", BEGIN_SETTLE)
        self.lane = self._table.lane
        self._source = source

    async def settle(self, ids: Sequence[RowId]) -> None:
        """In one statement; safe to repeat. Raises SourceFault; ServerChanged where ``ids`` are another server's."""
        await self._table.lane.open()
        if self._source.server not in ("", self._table.server):
            raise server_changed()
        await self._table.settle(ids)

    async def close(self) -> None:
        """Drop the connection."""
        await self._table.lane.close()


class PostgresQueue:
    """Rows that belong to whoever locks them first (ordering.mode: None); satisfies RowSource and RowSettler.

    The transaction that read rows stays open until they are settled or released, on one connection.
    """

    def __init__(self, manifest: RelayManifest, credentials: Credentials | RenewableCredentials) -> None:
        idle = manifest.spec.target.delivery_timeout_seconds + QUEUE_IDLE_SECONDS
        begin = f"{BEGIN_SETTLE}; SET LOCAL idle_in_transaction_session_timeout = '{idle}s'"
        self._table = _Table(manifest, credentials, "read and settle", begin)
        self.lane = self._table.lane

    async def open(self) -> None:
        """Connect and verify unless connected; raises SourceFault."""
        await self._table.lane.open()

    async def read(self, request: ReadRequest) -> list[Row]:
        """Pending rows that nobody else has, locked; what was locked before is released. Raises SourceFault."""
        await self.release()
        rows = await self._table.read(request, hold=True)
        if not rows:
            await self.release()
        return rows

    async def read_rows(self, ids: Collection[RowId]) -> list[Row]:
        """Those of ``ids`` that are pending and nobody else's, locked; raises SourceFault."""
        await self.release()
        return await self._table.read_rows(ids, hold=True)

    async def still_pending(self, ids: Collection[RowId]) -> frozenset[RowId]:
        """Those of ``ids`` that are still pending, whoever has them; raises SourceFault."""
        await self.release()
        return await self._table.still_pending(ids)

    async def settle(self, ids: Sequence[RowId]) -> None:
        """In the transaction that locked them, which ends with it; raises SourceFault."""
        if not self._table.lane.is_holding:
            # Others may have them by now.
            raise lost()
        await self._table.settle(ids)

    async def snapshot(self) -> Snapshot:
        """Which transactions are open; raises SourceFault."""
        return await self._table.snapshot()

    async def oldest_transaction(self) -> Holder | None:
        """Who holds the oldest transaction open; raises SourceFault."""
        return await self._table.oldest_transaction()

    async def release(self) -> None:
        """Unlock what was read and not settled; raises SourceFault."""
        await self._table.lane.release()

    async def close(self) -> None:
        """Drop the connection, and with it every lock."""
        await self._table.lane.close()


def server_changed() -> ServerChanged:
    """What was read is of another server than the one that answers now."""
    return ServerChanged(
        Reason.CONNECT_FAILED, "the database was restarted, or another server took its place: reading it anew"
    )


def _holder(row: asyncpg.Record) -> Holder:
    if row["gid"] is not None:
        return Holder(
            f"prepared transaction {row['gid']!r} (COMMIT PREPARED or ROLLBACK PREPARED ends it)", row["seconds"]
        )
    known = [f"user {row['role']}"] if row["role"] else []
    known += [f"application {row['application']}"] if row["application"] else []
    known += [row["state"]] if row["state"] else []
    return Holder(f"pid {row['pid']}" + (f" ({', '.join(known)})" if known else ""), row["seconds"])
