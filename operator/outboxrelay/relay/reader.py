"""What the next read asks for: how many rows, from which floor, without which rows; and what its result teaches."""

from collections.abc import Sequence

from outboxrelay.api.source import Read
from outboxrelay.decisions.batching import BYTE_BUDGET, first_limit, next_limit
from outboxrelay.decisions.floor import Floor, Holder, after_read, after_snapshot, lowered
from outboxrelay.decisions.rows import ReadRequest, RowId
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, RowSource

SNAPSHOT_SECONDS = 1.0
SWEEP_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
"""A transaction that is open for so long is worth naming."""
HOLDER_SECONDS = 5.0


class Reader:
    """Reads always from the floor and never behind the last id: a row that commits late must not be overtaken."""

    def __init__(
        self, source: RowSource, ownership: Ownership, held: HeldKeys, lanes: TopicLanes, read: Read, clock: Clock
    ) -> None:
        self._source = source
        self._ownership = ownership
        self._held = held
        self._lanes = lanes
        self._settled = read.visibility == "Settled"
        self._most = read.batch_size
        self._clock = clock
        self._limit = first_limit(self._most)
        self._floor = Floor()
        self._shards: frozenset[int] = frozenset()
        self._snapshot_at = self._sweep_at = self._asked_at = clock.monotonic()
        self.best_effort = False
        """Whether ids do not tell the order of commits."""
        self.holder: Holder | None = None
        """Who holds rows or the floor back, where that lasts."""
        self.begun = 0.0
        self.seconds = 0.0
        """How long the last read took."""

    @property
    def floor(self) -> int | None:
        """No smaller id is pending, as far as is known."""
        return self._floor.value

    def forget(self) -> None:
        """Start from no floor and with a small batch."""
        self._floor = Floor()
        self._limit = first_limit(self._most)

    def include(self, row_id: RowId) -> None:
        """A row that was held, and those behind it, take part again."""
        if isinstance(row_id, int):
            self._floor = lowered(self._floor, row_id)

    def sweep(self) -> None:
        """Read without a floor next time: rows anywhere may take part again."""
        self._sweep_at = 0.0

    async def read(self, in_flight: Sequence[RowId], most: int | None = None) -> Batch:
        """Pending rows that are not on their way yet, ``most`` at most; raises SourceFault."""
        now = self.begun = self._clock.monotonic()
        if self._shards != self._ownership.owned:
            self._shards, self._floor = self._ownership.owned, Floor()
        await self._look_at_transactions(now)
        sweep = now >= self._sweep_at
        if sweep:
            self._sweep_at = now + SWEEP_SECONDS * (0.9 + 0.2 * self._clock.chance())
        ticket = self._ownership.begin()
        asked = self._clock.monotonic()
        try:
            limit = self._limit if most is None else min(self._limit, most)
            rows = await self._source.read(self._request(in_flight, limit, sweep))
            self.seconds = self._clock.monotonic() - asked
        except BaseException:
            self._ownership.end(ticket)
            raise
        size = size_of(rows)
        batch = Batch(rows, ids_of(rows), ticket, full=len(rows) >= limit or size >= BYTE_BUDGET, size=size)
        self._learn(batch, limit, in_flight, now)
        return batch

    def _request(self, in_flight: Sequence[RowId], limit: int, sweep: bool) -> ReadRequest:
        return ReadRequest(
            limit=limit,
            floor=None if sweep else self._floor.value,
            shards=None if self._ownership.owns_all else tuple(sorted(self._shards)),
            in_flight=in_flight,
            held_keys=self._held.keys,
            held_rows=self._held.rows,
            blocked_topics=self._lanes.topics,
        )

    def _learn(self, batch: Batch, limit: int, in_flight: Sequence[RowId], begun: float) -> None:
        # Texts have no floor: a later row may well have a lower one.
        self.best_effort = self.best_effort or bool(batch.ids and isinstance(batch.ids[0], str))
        pending: list[Sequence[int]] = [ids for ids in (in_flight, batch.ids) if ids and isinstance(ids[0], int)]  # type: ignore[misc]
        lowest = min((min(ids) for ids in pending), default=None)
        highest = max((max(ids) for ids in pending), default=None)
        self._floor = after_read(self._floor, lowest, highest, begun)
        if limit == self._limit:
            self._limit = next_limit(limit, len(batch.rows), batch.size, self._most)

    async def _look_at_transactions(self, now: float) -> None:
        candidate = self._floor.candidate
        if candidate is not None and not candidate.clear and now - self._snapshot_at >= SNAPSHOT_SECONDS:
            self._snapshot_at = now
            self._floor = after_snapshot(self._floor, await self._source.snapshot(), now)
            candidate = self._floor.candidate
        held_back = candidate is not None and not candidate.clear and now - candidate.seen_at >= PATIENCE_SECONDS
        if not (held_back or self._settled):
            self.holder = None
        elif now - self._asked_at >= HOLDER_SECONDS:
            self._asked_at = now
            found = await self._source.oldest_transaction()
            young = found is not None and found.seconds is not None and found.seconds < PATIENCE_SECONDS
            self.holder = None if young else found
