"""Delivered rows that are still in the table. They outlive a lost session: settling a delivered row is always safe."""

from collections.abc import Sequence

from outboxrelay.decisions.rows import RowId
from outboxrelay.relay.ports import RowSettler

AT_ONCE = 20_000


class Settler:
    """Collects what was confirmed and settles it in few statements."""

    def __init__(self, rows: RowSettler) -> None:
        self._rows = rows
        self.waiting: list[RowId] = []
        """Confirmed rows, to be left out of reads until they are settled."""

    def add(self, ids: Sequence[RowId]) -> None:
        """These rows are confirmed."""
        self.waiting.extend(ids)

    async def settle(self) -> bool:
        """Settle all that waits; raises SourceFault and keeps what is left. Whether there was anything."""
        if not self.waiting:
            return False
        while self.waiting:
            part = self.waiting[:AT_ONCE]
            await self._rows.settle(part)
            del self.waiting[: len(part)]
        return True

    def forget(self) -> None:
        """The table is another one now, where these ids may be other rows; what is pending is delivered (again)."""
        self.waiting.clear()

    async def close(self) -> None:
        """Drop the connection."""
        await self._rows.close()
