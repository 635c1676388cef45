"""Delivered rows that are still in the table.

They outlive a statement that failed, but not a session, nor the server: behind the next connection may be another one,
or the same after a crash, where the last transactions are lost and their ids are given to other rows. Settling those
would lose them; forgetting can only repeat what was delivered.

Rows that somebody else has locked are set apart and tried again now and then: they hold up nobody.
"""

from collections.abc import Sequence

import structlog

from outboxrelay.decisions.rows import RowId
from outboxrelay.errors import RowsLocked
from outboxrelay.relay.ports import Clock, RowSettler

log = structlog.get_logger(__name__)

AT_ONCE = 20_000
HALVINGS = 20
"""Times that a settlement is divided to find the rows that are locked; each may wait for the server's lock_timeout."""
AGAIN_SECONDS = 5.0


class Settler:
    """Collects what was confirmed and settles it in few statements."""

    def __init__(self, rows: RowSettler, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self.waiting: list[RowId] = []
        """Confirmed rows, to be settled next."""
        self._locked: list[Sequence[RowId]] = []
        self._again_at = 0.0

    @property
    def unsettled(self) -> list[RowId]:
        """Confirmed rows, to be left out of reads until they are settled."""
        return [*self.waiting, *(row_id for part in self._locked for row_id in part)]

    def notices(self) -> list[str]:
        """What somebody should know."""
        if not self._locked:
            return []
        rows = sum(map(len, self._locked))
        held = f"{rows} delivered rows (the first has id {self._locked[0][0]}) are locked by another session"
        return [f"{held}: they leave the table when it ends its transaction"]

    def add(self, ids: Sequence[RowId]) -> None:
        """These rows are confirmed."""
        self.waiting.extend(ids)

    async def settle(self) -> bool:
        """Settle all that waits; raises SourceFault and keeps what is left. Whether there was anything."""
        again = bool(self._locked) and self._clock.monotonic() >= self._again_at
        if not (self.waiting or again):
            return False
        halvings = HALVINGS
        while self.waiting:
            part: Sequence[RowId] = self.waiting[:AT_ONCE]
            halvings = await self._settle(part, halvings)
            del self.waiting[: len(part)]
        if again:
            parts, self._locked = self._locked, []
            for number, part in enumerate(parts):
                try:
                    halvings = await self._settle(part, halvings)
                except BaseException:
                    self._locked += parts[number:]
                    raise
        return True

    async def _settle(self, ids: Sequence[RowId], halvings: int) -> int:
        """Settle ``ids``, or set those apart that are locked; how often may still be halved."""
        try:
            await self._rows.settle(ids)
        except RowsLocked as fault:
            if len(ids) > 1 and halvings > 0:
                half = len(ids) // 2
                halvings = await self._settle(ids[:half], halvings - 1)
                return await self._settle(ids[half:], halvings)
            self._locked.append(ids)
            self._again_at = self._clock.monotonic() + AGAIN_SECONDS
            log.warning("delivered_rows_locked", rows=len(ids), first=ids[0], message=fault.message)
        return halvings

    def forget(self) -> None:
        """The session is over, or the database is another."""
        self.waiting.clear()
        self._locked.clear()

    async def close(self) -> None:
        """Drop the connection."""
        await self._rows.close()
