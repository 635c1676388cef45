"""Delivered rows that were kept long enough go: off the hot path, by the process that owns the first shard."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Table
from outboxrelay.decisions.retention import MOST_ROWS, after_batch, after_fault, after_rotation, kept_seconds
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

FIRST_SHARD = 0
AWAY_SECONDS = 5.0
"""Between looks whether this process is the one, while it is not."""
BUSY = "busy "


class Retention(Protocol):
    """Where delivered rows are kept. Every method raises SourceFault."""

    async def delete_marked(self, older_than: float, most: int) -> int:
        """Delete up to ``most`` rows that were marked more than ``older_than`` seconds ago; how many went."""

    async def rotate_archive(self, keep: float) -> Sequence[str]:
        """Make partitions for the days to come, drop those older than ``keep`` seconds; what was done, each in words.

        "busy …" = somebody reads what should go.
        """

    async def close(self) -> None:
        """Give the connection up; the next call makes a new one."""


class Housekeeper:
    """Keeps what is kept from growing for ever."""

    def __init__(self, retention: Retention, table: Table, ownership: Ownership, clock: Clock) -> None:
        self._retention = retention
        self._table = table
        self._ownership = ownership
        self._clock = clock
        self._rows = MOST_ROWS
        self._failures = 0
        self.limitation: str | None = None
        """What is not done and why, as a sentence; None while all is well."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; returns at once where there is nothing to do. Raises only bugs."""
        keep = kept_seconds(self._table)
        if keep is None:
            return
        while not stop.is_set():
            pause = await self._turn(keep) if FIRST_SHARD in self._ownership.owned else AWAY_SECONDS
            await wait_for(stop, pause)

    async def _turn(self, keep: float) -> float:
        """One statement; seconds until the next."""
        try:
            pause = await (self._delete(keep) if self._table.after_delivery == "Mark" else self._rotate(keep))
        except SourceFault as fault:
            return self._failed(fault)
        self._failures, self.limitation = 0, None
        return pause

    async def _delete(self, keep: float) -> float:
        before, asked = self._clock.monotonic(), self._rows
        deleted = await self._retention.delete_marked(keep, asked)
        step = after_batch(asked, deleted, self._clock.monotonic() - before, self._clock.chance())
        self._rows = step.rows
        if deleted:
            log.debug("marked_rows_deleted", rows=deleted)
        return step.pause

    async def _rotate(self, keep: float) -> float:
        done = await self._retention.rotate_archive(keep)
        if done:
            log.info("archive_rotated", done=list(done))
        return after_rotation(any(item.startswith(BUSY) for item in done), self._clock.chance())

    def _failed(self, fault: SourceFault) -> float:
        self._failures += 1
        step = after_fault(self._rows, self._failures, self._clock.chance())
        self._rows = step.rows
        if fault.reason in (Reason.PERMISSION_DENIED, Reason.TABLE_NOT_FOUND, Reason.SCHEMA_MISMATCH):
            # Others mend themselves, and the source's health tells of them.
            kept = "marked rows" if self._table.after_delivery == "Mark" else "archived rows"
            self.limitation = f"{kept} are kept for longer than retentionSeconds: {fault.message}"
        log.warning("retention_failed", reason=str(fault.reason), message=fault.message, retry_in_seconds=step.pause)
        return step.pause
