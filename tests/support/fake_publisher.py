"""Brokers in memory: satisfies Publisher. What arrived is in ``arrived``, in order."""

import asyncio
from collections.abc import Sequence

from outboxrelay.api.names import Reason
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rows import KEY, ROW_ID, Row
from outboxrelay.errors import TargetFault


class FakePublisher:
    """Set ``down`` to make the brokers take nothing, ``too_large`` to refuse rows, ``hanging`` to never confirm."""

    def __init__(self, delay: float = 0.005) -> None:
        self.arrived: list[Row] = []
        self.batches: list[list[int]] = []
        self.down: TargetFault | None = None
        self.too_large: set[int] = set()
        self.hanging = False
        self.opens: list[float] = []
        self.discards = 0
        self.break_after: int | None = None
        """Rows of the next batch that are confirmed before the brokers go down."""
        self._delay = delay
        self._aborted = asyncio.Event()

    @property
    def ids(self) -> list[int]:
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
        return self._take(rows)

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
        blocked: set[str | None] = set()
        unsent: set[int] = set()
        for row in rows:
            if row[KEY] is not None and row[KEY] in blocked:
                unsent.add(row[ROW_ID])
            elif row[ROW_ID] in self.too_large:
                refusals.append(Refusal(row[ROW_ID], Reason.ROW_TOO_LARGE, "too large"))
                blocked.add(row[KEY])
            else:
                self.arrived.append(row)
        return Refused(tuple(refusals), frozenset(unsent), 0) if refusals else Delivered()
