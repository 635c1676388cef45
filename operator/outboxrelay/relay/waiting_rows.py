"""Rows that were read and wait in the table: left out of batches, counted, moved aside, tried again, and let go."""

from collections.abc import Iterable

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.decisions.rows import ROW_ID, RowId, topic_of
from outboxrelay.errors import SourceFault
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.flight import Flight
from outboxrelay.relay.pump_parts import PumpParts

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 5.0
"""Until a held row that was due and could not be tried is tried again: its topic takes nothing, or no broker does."""


class WaitingRows:
    """Seen to by the pump before each read."""

    def __init__(self, parts: PumpParts, flight: Flight) -> None:
        self._flight = flight
        self._source = parts.source
        self._circuit = parts.circuit
        self._settler = parts.settler
        self._ownership = parts.ownership
        self._held = parts.held
        self._lanes = parts.lanes
        self._poison = parts.poison
        self._careful = parts.careful
        self._reader = parts.reader
        self._progress = parts.progress
        self._clock = parts.clock
        self._version = parts.ownership.version
        """The ownership's, when what is held of shards that went was last forgotten."""

    async def follow_shards(self) -> None:
        """Forget what is held once shards went, also where they came back: whoever had them saw to it meanwhile."""
        version = self._ownership.version
        if version != self._version:
            await self._flight.arrive()
            self._forget()
            self._version = version

    def leave_out(self, batch: Batch) -> None:
        """Take out of ``batch`` what its key or its topic keeps in the table, and suspects that go alone later."""
        rows, condemned = self._careful.sift(batch.rows)
        if condemned:
            self._poison.note(batch.rows, condemned)
        if len(rows) < len(batch.rows):
            named = {refusal.row_id for refusal in condemned}
            later = {row[ROW_ID] for row in batch.rows}.difference(ids_of(rows), named)
            batch.take_out({*later, *named})
            batch.goes_on = bool(later)
        waiting = self._held.waiting(batch.rows)
        if len(self._lanes):
            waiting += [row for row in batch.rows if topic_of(row) in self._lanes]
        if waiting:
            batch.take_out(set(ids_of(waiting)))

    async def see_to(self, *, busy: bool) -> None:
        """Do what is due for them; raises SourceFault, where they are too many too."""
        await self.count(busy=busy)
        await self._retry()
        await self._probe_topics()
        for many, what in (
            (self._held.is_full, f"{len(self._held)} keys are held"),
            (self._lanes.is_full, f"{len(self._lanes)} topics take no rows"),
        ):
            if many:
                await self._flight.complete()
                raise SourceFault(Reason.NO_PROGRESS, f"{what}: too many to go on; see /state")

    async def count(self, *, busy: bool) -> None:
        """Count what failed, and move aside what failed too often; ``busy``: as far as that cannot wait."""
        if not self._poison.is_due(busy=busy):
            return
        if self._poison.may_bury:
            await self._flight.arrive()
        gone, buried, fault = await self._poison.act()
        self._settler.add(buried)
        self._release([*gone, *buried])
        if fault is not None:
            await self._circuit.trip(fault)

    def _forget(self) -> None:
        self._held.forget()
        # The rows that stay ours were left out of reads, so the floor may be above them.
        self._reader.forget()
        self._tell()

    async def _retry(self) -> None:
        """Try rows again that were held for a while, each alone with what it needs: it may have been mended."""
        now = self._clock.monotonic()
        if unseen := self._held.unseen(now):
            await self._flight.arrive()
            there = await self._source.still_pending(unseen)
            self._release(row_id for row_id in unseen if row_id not in there)
        due = self._held.due(now)
        if not due or self._circuit.state == "Open":
            return
        await self._flight.arrive()
        if self._ownership.version != self._version:
            # Some of these rows may be somebody else's by now; no ticket that is taken from now on keeps them here.
            return
        self._held.wait_again(due, now + AGAIN_SECONDS)
        ticket = self._ownership.begin()
        try:
            found = await self._source.read_rows(due)
        except BaseException:
            self._ownership.end(ticket)
            raise
        rows = [row for row in found if topic_of(row) not in self._lanes]
        if not self._flight.may_begin:
            self._ownership.end(ticket)
            return
        still = {row[ROW_ID] for row in found}
        if rows:
            self._flight.begin(Batch(rows, ids_of(rows), ticket, full=True, size=size_of(rows)))
            await self._flight.complete()
            still.difference_update(self._settler.waiting)
            # Nothing was read behind these rows.
            self._flight.left_behind = False
        else:
            self._ownership.end(ticket)
        self._release(row_id for row_id in due if row_id not in still)
        await self._flight.settle()

    def _release(self, ids: Iterable[RowId]) -> None:
        """These rows are delivered or gone: what is behind them goes on."""
        for row_id in ids:
            self._held.release([row_id])
            self._reader.include(row_id)
            self._poison.over([row_id])
            log.info("row_released", row_id=row_id)
        self._tell()

    async def _probe_topics(self) -> None:
        if self._lanes.is_due:
            await self._flight.complete()
            if await self._lanes.probe():
                self._reader.sweep()
            self._tell()

    def _tell(self) -> None:
        self._progress.held(len(self._held), 0, len(self._lanes))
