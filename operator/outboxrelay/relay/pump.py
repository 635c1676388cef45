"""The pump: read → publish → settle, one for all shards of the process (docs/decisions/0001-one-pump-per-process.md).

While a full batch is on its way the one before it is settled and the next one is read. A batch is sent only when the
one before it is wholly confirmed, so the order of a key never depends on what happens inside the producer.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from outboxrelay.decisions.retries import backoff
from outboxrelay.errors import ServerChanged, SourceFault
from outboxrelay.relay.batch import Batch
from outboxrelay.relay.flight import Flight, no_beat
from outboxrelay.relay.pump_parts import PumpParts
from outboxrelay.relay.waiting import wait_for
from outboxrelay.relay.waiting_rows import WaitingRows

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
"""Between looks at what may be done while nothing may be read."""


class Pump:
    """Carries rows of the owned shards while ``run`` runs."""

    def __init__(self, parts: PumpParts) -> None:
        self._flight = Flight(parts)
        self._waiting = WaitingRows(parts, self._flight)
        self._source = parts.source
        self._circuit = parts.circuit
        self._settler = parts.settler
        self._ownership = parts.ownership
        self._held = parts.held
        self._poison = parts.poison
        self._careful = parts.careful
        self._reader = parts.reader
        self._flow = parts.flow
        self._rest = parts.rest
        self._renewals = parts.renewals
        self._progress = parts.progress
        # Rows that are locked rather than owned are settled in the transaction that read them.
        self._locking = parts.ordering.mode == "None"
        self._policy = parts.policy
        self._health = parts.health
        self._beats = parts.beats
        self._clock = parts.clock
        self._stop = parts.stop
        self._busy = False
        """Whether the last read found more than it could take."""
        self._failures = 0
        self._beat: Callable[[], None] = no_beat

    async def run(self) -> None:
        """Until told to stop; what is on its way then is finished and settled. Raises nothing but bugs."""
        with self._beats.watch("pump") as self._beat:
            self._flight.beat = self._beat
            try:
                while not self._stop.is_set():
                    await self._turn()
                await self._finish()
            finally:
                await self._flight.abandon()

    async def _turn(self) -> None:
        self._beat()
        self._ownership.changed.clear()
        try:
            if self._circuit.state == "Open":
                await self._flight.settle()
            if await self._circuit.restore(self._stop, self._beat):
                await self._renew()
                await self.step()
        except SourceFault as fault:
            await self._source_failed(fault)
        else:
            self._source_worked()

    async def _renew(self) -> None:
        """Where other credentials are ready, come to a rest and go over to them."""
        if not self._renewals.are_ready:
            return
        await self._flight.complete()
        try:
            await self._flight.settle()
        except SourceFault:
            # Those in use may not settle any more; what is confirmed is settled with the others.
            log.debug("unsettled")
        if self._circuit.state == "Closed" and "source" in await self._renewals.switch():
            await self._poison.renewed()

    async def step(self) -> None:
        """One read, and what it found on its way. Raises SourceFault."""
        if not self._may_read():
            await self._flight.arrive()
            await self._idle()
            return
        await self._waiting.follow_shards()
        await self._careful.look()
        await self._waiting.see_to(busy=self._busy)
        if self._held.blocks_all:
            await self._flight.arrive()
            await self._idle()
            return
        batch = await self._read()
        found = len(batch.rows)
        try:
            admitted = await self._admit(batch)
        except BaseException:
            self._forget(batch)
            raise
        if not admitted:
            self._forget(batch)
            if self._locking:
                await self._source.release()
            return
        suspicious = await self._send(batch)
        self._busy = batch.full
        if suspicious or self._locking or not (batch.full or (found and self._rest.is_short)):
            await self._flight.arrive()
        elif not batch.full:
            # The next read is a moment away and settles it beside itself: what has come by then does not wait for both.
            await self._flight.complete()
        if batch.full:
            await self._rest.busy()
            return
        with self._progress.resting():
            await self._rest.after(found, self._reader.begun, self._beat)

    async def _idle(self) -> None:
        """There is nothing that this process may read."""
        with self._progress.resting():
            await wait_for(self._ownership.changed, IDLE_SECONDS, self._beat)

    async def _admit(self, batch: Batch) -> bool:
        """Whether ``batch`` may be sent, after the one before it is done and the rate allows it."""
        await self._flight.complete()
        await self._circuit.check(idle=not batch.ids)
        if self._flight.left_behind:
            self._flight.left_behind = False
            return False
        self._waiting.leave_out(batch)
        if not self._flight.may_begin:
            return False
        admitted = await self._flow.admit(len(batch.ids), batch.size, self._stop, self._beat)
        return admitted and self._flight.may_begin

    def _may_read(self) -> bool:
        return bool(self._ownership.owned) and self._ownership.is_fresh(self._clock.monotonic())

    async def _read(self) -> Batch:
        """The next rows, while the batch before the one on its way is settled; raises SourceFault."""
        in_flight = self._flight.ids
        bounds = [most for most in (self._flow.most_rows(), self._careful.most_rows) if most is not None]
        if self._locking:
            # One connection has the locks, and it takes one statement at a time.
            await self._flight.settle()
        reading = asyncio.create_task(self._reader.read(in_flight, min(bounds, default=None)), name="read")
        try:
            if not self._locking:
                await self._flight.settle()
            batch = await reading
        except BaseException:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled() and reading.exception() is None:
                self._forget(reading.result())
            raise
        # Rows that are sent one by one to find a bad one tell nothing of how fast this process can be.
        full = batch.full and not self._careful.active
        self._progress.read(self._reader.seconds, len(batch.rows), len(in_flight), full=full)
        return batch

    async def _send(self, batch: Batch) -> bool:
        """Begin to publish. Whether it is under suspicion: then it must arrive before anything else is sent."""
        rows = batch.rows
        if batch.goes_on:
            # What a key or a topic keeps back need not be looked for again at once; suspects that go alone are next.
            batch.full = batch.full or bool(rows)
            self._reader.retreat()
        else:
            self._reader.advance()
        if not rows:
            self._forget(batch)
            return False
        suspicious = self._careful.concerns(rows)
        if suspicious:
            try:
                await self._careful.start(rows)
            except BaseException:
                self._forget(batch)
                raise
        self._flight.begin(batch)
        return suspicious

    def _forget(self, batch: Batch) -> None:
        self._ownership.end(batch.ticket)

    async def _source_failed(self, fault: SourceFault) -> None:
        """Finish what is on its way, then connect anew after a wait; the locks may well be intact."""
        self._failures += 1
        wait = backoff(self._policy, self._failures, self._clock.chance())
        self._health.bad(fault)
        self._progress.source_failed(fault.reason)
        self._progress.interrupted()
        self._flow.outage()
        log.warning(
            "source_failed",
            reason=str(fault.reason),
            message=fault.message,
            failures=self._failures,
            retry_in_seconds=round(wait, 3),
        )
        try:
            await self._flight.complete()
        except SourceFault:
            # What the database should remember is written when it is back.
            log.debug("unremembered")
        await self._source.close()
        await self._settler.close()
        if isinstance(fault, ServerChanged):
            self._settler.forget()
        self._reader.forget()
        await wait_for(self._stop, wait, self._beat)

    def _source_worked(self) -> None:
        self._failures = 0
        self._health.good()

    async def _finish(self) -> None:
        """The orderly end: nothing new, but what is on its way arrives and is settled."""
        self._busy = False
        try:
            await self._flight.arrive()
            if self._poison.is_due(busy=False) and self._circuit.state == "Closed":
                await self._waiting.count(busy=False)
                await self._flight.settle()
        except SourceFault as fault:
            log.warning("unsettled_at_stop", rows=len(self._settler.waiting), message=fault.message)
