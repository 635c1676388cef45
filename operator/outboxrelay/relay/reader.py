"""What the next read asks for: how many rows, from which floor, without which rows; and what its result teaches."""

from collections.abc import Sequence
from typing import cast

from outboxrelay.api.source import Read
from outboxrelay.decisions.batching import BYTE_BUDGET, first_limit, next_limit
from outboxrelay.decisions.floor import Floor, Holder, after_read, after_snapshot, lowered
from outboxrelay.decisions.front import Front, first_front, next_front
from outboxrelay.decisions.rows import ReadRequest, RowId
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, RowSource

SNAPSHOT_SECONDS = 1.0
SWEEP_SECONDS = 10.0
SWEEP_SHARE = 0.02
"""Of the time at most: a read without a floor passes all dead rows, many where somebody holds a snapshot."""
LOWEST_ID = -(2**63)
PATIENCE_SECONDS = 20.0
"""A transaction that is open for so long is worth naming."""
HOLDER_SECONDS = 5.0


class Reader:
    """Reads from the floor, or from the front and in every gap below it: a row that commits late must not be overtaken.

    The front is followed while this process has all shards to itself. Rows that are read and wait in the table, because
    something holds their key or their topic, are behind it: when that is over, ``include`` or ``sweep`` gives it up.
    ``shared``: rows belong to whoever locks them first, so that a row that was not given may be pending all the same.
    """

    def __init__(
        self,
        source: RowSource,
        ownership: Ownership,
        held: HeldKeys,
        lanes: TopicLanes,
        read: Read,
        clock: Clock,
        *,
        shared: bool = False,
    ) -> None:
        self._source = source
        self._ownership = ownership
        self._held = held
        self._lanes = lanes
        self._settled = read.visibility == "Settled"
        self._most = read.batch_size
        self._clock = clock
        self._limit = first_limit(self._most)
        self._shared = shared
        self._floor = Floor()
        self._front: Front | None = None
        self._next_front: Front | None = None
        """The front if what the last read gave is sent."""
        self._shards: tuple[int, frozenset[int]] = (0, frozenset())
        """What floor and front are about: the ownership's version, and the shards."""
        self._snapshot_at = self._sweep_at = self._asked_at = self._oldest_since = clock.monotonic()
        self._oldest = 0
        """The oldest transaction when it was last looked."""
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
        self.retreat()

    def advance(self) -> None:
        """All that the last read gave is on its way."""
        self._front = self._next_front

    def retreat(self) -> None:
        """Rows that were read stay in the table: look at everything from the floor on again."""
        self._front = self._next_front = None

    def include(self, row_id: RowId) -> None:
        """A row that was held, and those behind it, take part again."""
        self.retreat()
        if isinstance(row_id, int):
            self._floor = lowered(self._floor, row_id)

    def sweep(self) -> None:
        """Read without a floor next time: rows anywhere may take part again."""
        self.retreat()
        self._sweep_at = 0.0

    async def read(self, in_flight: Sequence[RowId], most: int | None = None) -> Batch:
        """Pending rows that are not on their way yet, ``most`` at most; raises SourceFault."""
        now = self.begun = self._clock.monotonic()
        await self._look_at_transactions(now)
        # From here to the request nothing is waited for: a shard that goes later waits for the ticket.
        self._follow_ownership()
        sweep = now >= self._sweep_at
        ticket = self._ownership.begin()
        asked = self._clock.monotonic()
        try:
            limit = self._limit if most is None else min(self._limit, most)
            request = self._request(in_flight, limit, sweep)
            rows = await self._source.read(request)
            self.seconds = self._clock.monotonic() - asked
        except BaseException:
            self._ownership.end(ticket)
            raise
        if sweep:
            wait = max(SWEEP_SECONDS, self.seconds / SWEEP_SHARE)
            self._sweep_at = now + wait * (0.9 + 0.2 * self._clock.chance())
        size = size_of(rows)
        batch = Batch(rows, ids_of(rows), ticket, full=len(rows) >= limit or size >= BYTE_BUDGET, size=size)
        self._learn(batch, request, in_flight, now)
        return batch

    def _follow_ownership(self) -> None:
        """Floor and front say nothing of rows of other shards, nor of what somebody else did to them meanwhile."""
        shards = self._ownership.version, self._ownership.owned
        if self._shards != shards:
            self._shards, self._floor = shards, Floor()
            self.retreat()
        elif not self._follows_front:
            self.retreat()

    @property
    def _follows_front(self) -> bool:
        return self._ownership.owns_all and not self._shared

    def _request(self, in_flight: Sequence[RowId], limit: int, sweep: bool) -> ReadRequest:
        front = None if sweep else self._front
        return ReadRequest(
            limit=limit,
            floor=None if sweep else self._floor.value if front is None else front.highest + 1,
            gaps=() if front is None else front.gaps,
            shards=None if self._ownership.owns_all else tuple(sorted(self._ownership.owned)),
            # What is on its way was read, so it is behind no front and in no gap.
            in_flight=() if front is not None and front.exact else in_flight,
            # Behind the front a row that waits is read once, and the pump leaves it out: were it not read, it would be
            # a gap to look into each time.
            held_keys=self._held.keys if front is None else (),
            held_rows=self._held.rows if front is None else (),
            blocked_topics=self._lanes.topics if front is None else (),
        )

    def _learn(self, batch: Batch, request: ReadRequest, in_flight: Sequence[RowId], begun: float) -> None:
        # Texts have no floor: a later row may well have a lower one.
        self.best_effort = self.best_effort or bool(batch.ids and isinstance(batch.ids[0], str))
        pending: list[Sequence[int]] = [ids for ids in (in_flight, batch.ids) if ids and isinstance(ids[0], int)]  # type: ignore[misc]
        lowest = min((min(ids) for ids in pending), default=None)
        highest = max((max(ids) for ids in pending), default=None)
        self._floor = after_read(self._floor, lowest, highest, begun)
        # Shards may have come while it was read: it was complete for those that it asked for.
        whole = request.shards is None and not self.best_effort
        self._next_front = self._front_after(batch, in_flight) if whole else None
        if not batch.ids:
            self.advance()
        if request.limit == self._limit:
            self._limit = next_limit(request.limit, len(batch.rows), batch.size, self._most)

    def _front_after(self, batch: Batch, in_flight: Sequence[RowId]) -> Front | None:
        if not self._follows_front:
            return None
        start = LOWEST_ID if self._floor.value is None else self._floor.value
        ids = cast("list[int]", batch.ids)
        front = None if self._front is None else next_front(self._front, ids, start)
        # An id that came again was not given by a read from the front, so this one was complete.
        return front or first_front([*cast("Sequence[int]", in_flight), *ids], start)

    async def _look_at_transactions(self, now: float) -> None:
        candidate = self._floor.candidate
        if candidate is not None and not candidate.clear and now - self._snapshot_at >= SNAPSHOT_SECONDS:
            self._snapshot_at = now
            snapshot = await self._source.snapshot()
            if snapshot.xmin != self._oldest or snapshot.xmin == snapshot.xmax:
                self._oldest, self._oldest_since = snapshot.xmin, now
            self._floor = after_snapshot(self._floor, snapshot, now)
        # Whoever does not write to this table still keeps the dead rows in it.
        if not (now - self._oldest_since >= PATIENCE_SECONDS or self._settled):
            self.holder = None
        elif now - self._asked_at >= HOLDER_SECONDS:
            self._asked_at = now
            found = await self._source.oldest_transaction()
            young = found is not None and found.seconds is not None and found.seconds < PATIENCE_SECONDS
            self.holder = None if young else found
