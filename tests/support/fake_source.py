"""An outbox table in memory: satisfies RowSource and RowSettler, and passes the same contract as PostgreSQL's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outboxrelay.api.names import Reason
from outboxrelay.decisions.batching import BYTE_BUDGET
from outboxrelay.decisions.floor import Holder, Snapshot
from outboxrelay.decisions.rows import KEY, ROW_ID, SIZE, ReadRequest, Row, RowId, topic_of
from outboxrelay.errors import ServerChanged

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from outboxrelay.errors import SourceFault


def row(
    row_id: int,
    key: str | None = "k",
    payload: str | bytes | None = "{}",
    headers: str | None = None,
    topic: str | None = None,
) -> Row:
    """One row; what a test does not name is unremarkable."""
    size = None if payload is None else len(payload) + len(headers or "")
    narrow = (row_id, f"event-{row_id}", key, "Happened", payload, 1_700_000_000_000 + row_id, size)
    return narrow if headers is None and topic is None else (*narrow, headers, topic, None, None)


class FakeSource:
    """Rows by id. Set ``fault`` to make every call fail."""

    def __init__(self, shards: int = 4, delay: float = 0.001) -> None:
        self.rows: dict[RowId, Row] = {}
        self.open_transactions: dict[RowId, int] = {}
        """Row id drawn by a transaction that has not ended → its xid."""
        self.open_elsewhere: int | None = None
        """The xid of an open transaction that wrote to another table."""
        self.next_xid = 100
        self.fault: SourceFault | None = None
        self.settle_fault: SourceFault | None = None
        self.settled: list[RowId] = []
        self.server = "the first"
        """Another name stands for another server, or the same after a restart."""
        self._known = self.server
        self.holder: Holder | None = None
        self.reads: list[ReadRequest] = []
        self.opened = 0
        self._shards = shards
        self._delay = delay
        self._connected = False

    def insert(self, *rows: Row) -> None:
        """Commit rows."""
        self.next_xid += 1
        for item in rows:
            self.rows[item[ROW_ID]] = item
            self.open_transactions.pop(item[ROW_ID], None)

    def draw(self, row_id: int) -> None:
        """A transaction drew ``row_id`` and is still open."""
        self.open_transactions[row_id] = self.next_xid
        self.next_xid += 1

    def shard(self, item: Row) -> int:
        """Any stable function of the key will do."""
        key = item[KEY]
        return sum((str(item[ROW_ID]) if key is None else key).encode()) % self._shards

    async def open(self) -> None:
        """Connect."""
        await self._answer()
        before, self._known = self._known, self.server
        if before != self.server:
            raise ServerChanged(Reason.CONNECT_FAILED, "another server took its place")
        if not self._connected:
            self.opened += 1
        self._connected = True

    async def read(self, request: ReadRequest) -> list[Row]:
        """As RowSource says."""
        await self.open()
        self.reads.append(request)
        found = [
            item
            for row_id, item in sorted(self.rows.items(), key=lambda item: (str(type(item[0])), item[0]))
            if _is_asked_for(row_id, request)
            and (request.shards is None or self.shard(item) in request.shards)
            and row_id not in request.in_flight
            and item[KEY] not in request.held_keys
            and row_id not in request.held_rows
            and topic_of(item) not in request.blocked_topics
        ]
        return _within_budget(found[: request.limit])

    async def read_rows(self, ids: Collection[RowId]) -> list[Row]:
        """As RowSource says."""
        await self.open()
        return [self.rows[row_id] for row_id in ids if row_id in self.rows]

    async def still_pending(self, ids: Collection[RowId]) -> frozenset[RowId]:
        """As RowSource says."""
        await self.open()
        return frozenset(row_id for row_id in ids if row_id in self.rows)

    async def snapshot(self) -> Snapshot:
        """As RowSource says."""
        await self.open()
        writers = set(self.open_transactions.values())
        every = writers | ({self.open_elsewhere} if self.open_elsewhere else set())
        return Snapshot(min(every, default=self.next_xid), self.next_xid, frozenset(map(str, writers)))

    async def settle(self, ids: Sequence[RowId]) -> None:
        """As RowSettler says."""
        await self.open()
        if self.settle_fault:
            raise self.settle_fault
        for row_id in ids:
            if self.rows.pop(row_id, None):
                self.settled.append(row_id)

    async def oldest_transaction(self) -> Holder | None:
        """As RowSource says."""
        await self.open()
        return self.holder

    async def release(self) -> None:
        """As RowSource says."""

    async def close(self) -> None:
        """Disconnect."""
        self._connected = False

    async def _answer(self) -> None:
        await asyncio.sleep(self._delay)
        if self.fault:
            raise self.fault


def _is_asked_for(row_id: RowId, request: ReadRequest) -> bool:
    if request.floor is None or isinstance(row_id, str):
        return True
    return row_id >= request.floor or any(low <= row_id <= high for low, high in request.gaps)


def _within_budget(rows: list[Row]) -> list[Row]:
    """The first rows, none of them behind the one that fills the budget."""
    before = 0
    for position, item in enumerate(rows):
        if before >= BYTE_BUDGET:
            return rows[:position]
        before += item[SIZE] or 0
    return rows
