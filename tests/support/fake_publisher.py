"""Brokers in memory: satisfies Publisher. What arrived is in ``arrived``, in order."""

import asyncio
from collections.abc import Sequence

from outboxrelay.api.names import Reason
from outboxrelay.decisions.outcomes import Broken, DeadLetter, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId, topic_of
from outboxrelay.errors import TargetFault, TopicFault


class FakePublisher:
    """Set ``down`` to make the brokers take nothing, ``too_large`` to refuse rows, ``hanging`` to never confirm."""

    def __init__(self, delay: float = 0.005) -> None:
        self.arrived: list[Row] = []
        self.batches: list[list[RowId]] = []
        self.down: TargetFault | None = None
        self.too_large: set[RowId] = set()
        self.missing: set[str] = set()
        """Topics that are not there."""
        self.buried: list[DeadLetter] = []
        self.ends_process: set[RowId] = set()
        """Rows at which the process ends without a word, once the test cancels it."""
        self.ended = asyncio.Event()
        self.throttle = 0.0
        self.told: list[str] = []
        self.hanging = False
        self.leaves: int | None = None
        """Rows of the next batch that are sent; the others are left, as when another producer is needed."""
        self.opens: list[float] = []
        self.discards = 0
        self.break_after: int | None = None
        """Rows of the next batch that are confirmed before the brokers go down."""
        self._delay = delay
        self._aborted = asyncio.Event()

    @property
    def ids(self) -> list[RowId]:
        """Row ids in the order of their arrival."""
        return [row[ROW_ID] for row in self.arrived]

    async def open(self) -> None:
        """As Publisher says."""
        self.opens.append(asyncio.get_running_loop().time())
        if self.down:
            raise self.down
        self._aborted.clear()

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """As Publisher says."""
        self.batches.append([row[ROW_ID] for row in rows])
        await asyncio.sleep(self._delay)
        if self.ends_process.intersection(self.batches[-1]):
            self.ended.set()
            await self._aborted.wait()
            return Broken(TargetFault(Reason.STOPPED, "the process is gone"), ())
        if self.hanging:
            await self._aborted.wait()
            return Broken(TargetFault(Reason.STOPPED, "given up"), ())
        if self.down:
            return Broken(self.down, ())
        if self.break_after is not None:
            sent, self.break_after = list(rows[: self.break_after]), None
            self.arrived += sent
            fault = TargetFault(Reason.BROKER_UNAVAILABLE, "the brokers went away")
            return Broken(fault, tuple(row[ROW_ID] for row in sent))
        if self.leaves is not None:
            sent, left = list(rows[: self.leaves]), rows[self.leaves :]
            self.leaves = None
            self.arrived += sent
            return Refused((), frozenset(row[ROW_ID] for row in left), 0)
        return self._take(rows)

    async def bury(self, letters: Sequence[DeadLetter]) -> Outcome:
        """As Publisher says."""
        await asyncio.sleep(self._delay)
        if self.down:
            return Broken(self.down, ())
        self.buried += letters
        return Delivered()

    async def check_topic(self, topic: str) -> TargetFault | None:
        """As Publisher says."""
        return self.down or (_missing(topic) if topic in self.missing else None)

    def throttled(self) -> float:
        """As Publisher says."""
        milliseconds, self.throttle = self.throttle, 0.0
        return milliseconds

    def notices(self) -> list[str]:
        """As Publisher says."""
        return self.told

    async def check(self) -> TargetFault | None:
        """As Publisher says."""
        return self.down

    def is_alive(self) -> bool:
        """As Publisher says."""
        return True

    def abort(self) -> None:
        """As Publisher says."""
        self._aborted.set()

    async def discard(self) -> None:
        """As Publisher says."""
        self.discards += 1
        self._aborted.set()

    def _take(self, rows: Sequence[Row]) -> Outcome:
        refusals: list[Refusal] = []
        stopped: set[str | None] = set()
        blocked: dict[str, TopicFault] = {}
        unsent: set[RowId] = set()
        for row in rows:
            topic = topic_of(row) or ""
            if row[KEY] is not None and row[KEY] in stopped:
                unsent.add(row[ROW_ID])
            elif topic in self.missing:
                blocked[topic] = _missing(topic)
                unsent.add(row[ROW_ID])
            elif row[ROW_ID] in self.too_large:
                refusals.append(Refusal(row[ROW_ID], Reason.ROW_TOO_LARGE, "too large"))
                stopped.add(row[KEY])
            else:
                self.arrived.append(row)
        if refusals or unsent:
            return Refused(tuple(refusals), frozenset(unsent), 0, tuple(blocked.values()))
        return Delivered()


def _missing(topic: str) -> TopicFault:
    return TopicFault(Reason.TOPIC_NOT_FOUND, f"topic {topic} not found", topic)
