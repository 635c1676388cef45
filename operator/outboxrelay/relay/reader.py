"""What the next read asks for: how many rows, from which floor, without which rows; and what its result teaches."""

from collections.abc import Sequence

from outboxrelay.api.source import Read
from outboxrelay.decisions.batching import first_limit, next_limit
from outboxrelay.decisions.floor import Floor, after_read, after_snapshot, lowered
from outboxrelay.decisions.polling import PollPolicy, pause_after
from outboxrelay.decisions.rows import ReadRequest
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, RowSource

SNAPSHOT_SECONDS = 1.0
SWEEP_SECONDS = 10.0


class Reader:
    """Reads always from the floor and never behind the last id: a row that commits late must not be overtaken."""

    def __init__(self, source: RowSource, ownership: Ownership, held: HeldKeys, read: Read, clock: Clock) -> None:
        self._source = source
        self._ownership = ownership
        self._held = held
        self._most = read.batch_size
        self._poll = PollPolicy(read.min_poll_milliseconds / 1000, read.max_poll_milliseconds / 1000)
        self._clock = clock
        self._limit = first_limit(self._most)
        self._floor = Floor()
        self._shards: frozenset[int] = frozenset()
        self._snapshot_at = self._sweep_at = clock.monotonic()
        self.pause = 0.0
        """Seconds from the start of the last read to the start of the next."""
        self.begun = 0.0

    @property
    def floor(self) -> int | None:
        """No smaller id is pending, as far as is known."""
        return self._floor.value

    def forget(self) -> None:
        """Start from no floor and with a small batch."""
        self._floor = Floor()
        self._limit = first_limit(self._most)

    def include(self, row_id: int) -> None:
        """A row that was held, and those behind it, take part again."""
        self._floor = lowered(self._floor, row_id)

    async def read(self, in_flight: Sequence[int]) -> Batch:
        """Pending rows that are not on their way yet; raises SourceFault."""
        now = self.begun = self._clock.monotonic()
        if self._shards != self._ownership.owned:
            self._shards, self._floor = self._ownership.owned, Floor()
        await self._look_at_transactions(now)
        sweep = now >= self._sweep_at
        if sweep:
            self._sweep_at = now + SWEEP_SECONDS * (0.9 + 0.2 * self._clock.chance())
        ticket = self._ownership.begin()
        try:
            rows = await self._source.read(self._request(in_flight, sweep))
        except BaseException:
            self._ownership.end(ticket)
            raise
        batch = Batch(rows, ids_of(rows), ticket, full=len(rows) >= self._limit, size=size_of(rows))
        self._learn(batch, in_flight, now)
        return batch

    def _request(self, in_flight: Sequence[int], sweep: bool) -> ReadRequest:
        return ReadRequest(
            limit=self._limit,
            floor=None if sweep else self._floor.value,
            shards=None if self._ownership.owns_all else tuple(sorted(self._shards)),
            in_flight=in_flight,
            held_keys=self._held.keys,
            held_rows=self._held.rows,
        )

    def _learn(self, batch: Batch, in_flight: Sequence[int], begun: float) -> None:
        pending = [ids for ids in (in_flight, batch.ids) if ids]
        lowest = min((min(ids) for ids in pending), default=None)
        highest = max((max(ids) for ids in pending), default=None)
        self._floor = after_read(self._floor, lowest, highest, begun)
        self.pause = pause_after(self._poll, len(batch.rows), batch.full, self.pause, self._clock.chance())
        self._limit = next_limit(self._limit, len(batch.rows), batch.size, self._most)

    async def _look_at_transactions(self, now: float) -> None:
        candidate = self._floor.candidate
        if candidate is None or candidate.clear or now - self._snapshot_at < SNAPSHOT_SECONDS:
            return
        self._snapshot_at = now
        self._floor = after_snapshot(self._floor, await self._source.snapshot(), now)
