"""Advisory locks in memory: sessions of one FakeLocks see each other as members of one relay do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outboxrelay.api.names import Reason
from outboxrelay.decisions.sharding import MEMBER_BASE, Holding
from outboxrelay.errors import SourceFault

if TYPE_CHECKING:
    from collections.abc import Collection


class FakeLocks:
    """The lock table of one database: slot → session."""

    def __init__(self) -> None:
        self.holders: dict[int, FakeControl] = {}


class FakeControl:
    """Satisfies ControlSession. Set ``fault`` to make every call fail."""

    def __init__(self, locks: FakeLocks, delay: float = 0.001) -> None:
        self.fault: SourceFault | None = None
        self._ended = False
        self._locks = locks
        self._delay = delay

    async def open(self) -> None:
        """As ControlSession says."""
        self._ended = False
        await self._answer()

    async def observe(self) -> Holding:
        """As ControlSession says."""
        await self._answer()
        slots = self._locks.holders
        return Holding(
            members=tuple(sorted(slot - MEMBER_BASE for slot in slots if slot >= MEMBER_BASE)),
            owners={slot: id(holder) for slot, holder in slots.items() if slot < MEMBER_BASE},
        )

    async def try_lock(self, slots: Collection[int]) -> frozenset[int]:
        """As ControlSession says."""
        await self._answer()
        return frozenset(slot for slot in slots if self._locks.holders.setdefault(slot, self) is self)

    async def unlock(self, slots: Collection[int]) -> None:
        """As ControlSession says."""
        await self._answer()
        for slot in slots:
            if self._locks.holders.get(slot) is self:
                del self._locks.holders[slot]

    async def close(self) -> None:
        """As ControlSession says."""
        self.end()

    def end(self) -> None:
        """What the server does with a session that is gone: its locks are free, and nothing is answered any more."""
        self._ended = True
        for slot in [slot for slot, holder in self._locks.holders.items() if holder is self]:
            del self._locks.holders[slot]

    async def _answer(self) -> None:
        await asyncio.sleep(self._delay)
        if self.fault:
            raise self.fault
        if self._ended:
            raise SourceFault(Reason.CONNECT_FAILED, "the session has ended")
