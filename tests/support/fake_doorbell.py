"""A doorbell in memory: satisfies Doorbell. ``ring`` rings it where somebody asked to be woken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outboxrelay.errors import SourceFault


class FakeDoorbell:
    """Set ``limitation`` for a database without the trigger, ``fault`` for one that fails."""

    def __init__(self, limitation: str | None = None, lasts: float = 8.0) -> None:
        self.rung = asyncio.Event()
        self.limitation = limitation
        self.fault: SourceFault | None = None
        self.asleep_until: float | None = None
        self.writes = 0
        self.opened = 0
        self._lasts = lasts

    async def open(self) -> str | None:
        """As Doorbell says."""
        await self._answer()
        self.opened += 1
        return self.limitation

    async def sleep(self, seconds: float) -> bool:
        """As Doorbell says."""
        now = asyncio.get_running_loop().time()
        asked = self.is_asked()
        if self.asleep_until is None or self.asleep_until < now + seconds:
            await self._answer()
            self.writes += 1
            self.asleep_until = now + seconds + self._lasts
        return asked

    async def wake(self) -> None:
        """As Doorbell says."""
        if self.asleep_until is not None:
            await self._answer()
            self.writes += 1
        self.asleep_until = None

    def ring(self) -> None:
        """What the trigger does at a commit."""
        if self.is_asked():
            self.rung.set()

    def is_asked(self) -> bool:
        """Whether a commit would ring now."""
        return self.asleep_until is not None and self.asleep_until > asyncio.get_running_loop().time()

    async def _answer(self) -> None:
        await asyncio.sleep(0.001)
        if self.fault is not None:
            raise self.fault
