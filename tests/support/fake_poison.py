"""What the database remembers of rows that could not be sent, in memory: satisfies PoisonStore."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outboxrelay.decisions.poison import Attempts, Failure
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from outboxrelay.errors import SourceFault

    from .fake_source import FakeSource

MISSING = "schema outboxrelay is missing"


class FakePoison:
    """Relays of one table share one. Set ``fault`` to make every call fail, ``missing`` where there are no tables."""

    def __init__(self, source: FakeSource, delay: float = 0.001) -> None:
        self.fault: SourceFault | None = None
        self.missing = False
        self.members: set[int] = set()
        self.attempts: dict[RowId, Attempts] = {}
        self.quarantine_rows: dict[RowId, tuple[Row, Failure]] = {}
        self._source = source
        self._delay = delay

    async def open(self) -> tuple[str, ...]:
        """As PoisonStore says."""
        await self._answer()
        return (MISSING,) if self.missing else ()

    async def unclean(self, live: Collection[int]) -> bool:
        """As PoisonStore says."""
        await self._answer()
        dead = self.members.difference(live)
        self.members -= dead
        return bool(dead)

    async def enter(self, member: int) -> None:
        """As PoisonStore says."""
        await self._answer()
        if not self.missing:
            self.members.add(member)

    async def leave(self, member: int) -> None:
        """As PoisonStore says."""
        await self._answer()
        self.members.discard(member)

    async def load(self) -> list[Attempts]:
        """As PoisonStore says."""
        await self._answer()
        return list(self.attempts.values())

    async def start(self, rows: Sequence[Row]) -> None:
        """As PoisonStore says."""
        await self._answer()
        for row in rows:
            if not self.missing:
                self._add(row[ROW_ID], row[KEY], started=1)

    async def finish(self, ids: Sequence[RowId]) -> None:
        """As PoisonStore says."""
        await self._answer()
        for row_id in ids:
            self.attempts.pop(row_id, None)

    async def failed(self, failures: Sequence[Failure]) -> dict[RowId, int]:
        """As PoisonStore says."""
        await self._answer()
        if self.missing:
            return {}
        for failure in failures:
            known = self.attempts.get(failure.row_id)
            unstarted = known is None or known.started == known.finished
            self._add(failure.row_id, failure.key, started=int(unstarted), finished=1)
        return {failure.row_id: self.attempts[failure.row_id].finished for failure in failures}

    async def quarantine(self, failures: Sequence[Failure], most: int) -> frozenset[RowId]:
        """As PoisonStore says."""
        await self._answer()
        moved = set()
        for failure in failures:
            if not self.missing and len(self.quarantine_rows) < most and failure.row_id in self._source.rows:
                self.quarantine_rows[failure.row_id] = (self._source.rows.pop(failure.row_id), failure)
                self.attempts.pop(failure.row_id, None)
                moved.add(failure.row_id)
        return frozenset(moved)

    async def quarantined(self) -> int:
        """As PoisonStore says."""
        await self._answer()
        return len(self.quarantine_rows)

    def _add(self, row_id: RowId, key: str | None, *, started: int = 0, finished: int = 0) -> None:
        known = self.attempts.get(row_id, Attempts(row_id, key, 0, 0))
        self.attempts[row_id] = Attempts(row_id, key, known.started + started, known.finished + finished)

    async def _answer(self) -> None:
        await asyncio.sleep(self._delay)
        if self.fault:
            raise self.fault
