"""A doorbell in memory: satisfies Doorbell. Writers ring it where they were asked to."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from outboxrelay.decisions.waking import Asked

if TYPE_CHECKING:
    from outboxrelay.errors import SourceFault

BUCKETS = 4


class FakeDoorbell:
    """Set ``limitation`` for a database without the trigger, ``fault`` for one that fails."""

    def __init__(self, limitation: str | None = None) -> None:
        self.rung = asyncio.Event()
        self.rings = 0
        self.limitation = limitation
        self.fault: SourceFault | None = None
        self.statements = 0
        self.opened = 0
        self._asked: set[int] = set()
        self._writing: Counter[int] = Counter()
        """Open transactions that were not asked to ring, by bucket."""

    async def open(self) -> str | None:
        """As Doorbell says."""
        await self._answer()
        self.opened += 1
        return self.limitation

    async def sleep(self) -> Asked:
        """As Doorbell says."""
        if self.is_asked():
            return Asked.BEFORE
        await self._answer()
        self.statements += 1
        self._asked |= {bucket for bucket in range(BUCKETS) if not self._writing[bucket]}
        return Asked.NOW if self.is_asked() else Asked.SOME

    async def wake(self) -> None:
        """As Doorbell says."""
        if self._asked:
            await self._answer()
            self.statements += 1
            self._asked.clear()

    def insert(self, bucket: int = 0) -> Writing:
        """A transaction that inserts a row now, and is open."""
        rings = bucket in self._asked
        if not rings:
            self._writing[bucket] += 1
        return Writing(self, bucket, rings=rings)

    def end(self, bucket: int, *, rings: bool, commit: bool) -> None:
        """A transaction is over."""
        if not rings:
            self._writing[bucket] -= 1
        elif commit:
            self.rings += 1
            self.rung.set()

    def ring(self) -> None:
        """A transaction that inserts a row and commits at once."""
        self.insert().commit()

    def is_asked(self) -> bool:
        """Whether every commit would ring now."""
        return len(self._asked) == BUCKETS

    async def _answer(self) -> None:
        await asyncio.sleep(0.001)
        if self.fault is not None:
            raise self.fault


class Writing:
    """An open transaction, as the trigger sees it: it rings, or shares its bucket's lock until it ends."""

    def __init__(self, doorbell: FakeDoorbell, bucket: int, *, rings: bool) -> None:
        self._doorbell = doorbell
        self._bucket = bucket
        self._rings = rings

    def commit(self) -> None:
        """It is over, and its row is there."""
        self._doorbell.end(self._bucket, rings=self._rings, commit=True)

    def roll_back(self) -> None:
        """It is over, and its row is not there."""
        self._doorbell.end(self._bucket, rings=self._rings, commit=False)
