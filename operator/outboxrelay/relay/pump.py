"""The pump: read → publish → settle, one for all shards of the process (docs/decisions/0001-one-pump-per-process.md).

While a full batch is on its way the one before it is settled and the next one is read. A batch is sent only when the
one before it is wholly confirmed, so the order of a key never depends on what happens inside the producer.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.decisions.retries import backoff
from outboxrelay.decisions.rows import ROW_ID, RowId, topic_of
from outboxrelay.errors import ServerChanged, SourceFault
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.flight import Flight, no_beat
from outboxrelay.relay.pump_parts import PumpParts
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
"""Between looks at what may be done while nothing may be read."""
AGAIN_SECONDS = 5.0
"""Until a held row that was due and could not be tried is tried again: its topic takes nothing, or no broker does."""


class Pump:
    """Carries rows of the owned shards while ``run`` runs."""

    def __init__(self, parts: PumpParts) -> None:
        self._flight = Flight(parts)
        self._source = parts.source
        self._circuit = parts.circuit
        self._settler = parts.settler
        self._ownership = parts.ownership
        self._held = parts.held
        self._lanes = parts.lanes
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
        self._shards: frozenset[int] = frozenset()
        """What was owned at the step before."""
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
        await self._follow_shards()
        await self._careful.look()
        await self._see_to_poison()
        await self._retry_held()
        await self._probe_topics()
        if self._held.is_full:
            await self._flight.complete()
            raise SourceFault(Reason.NO_PROGRESS, f"{len(self._held)} keys are held: too many to go on; see /state")
        if self._lanes.is_full:
            await self._flight.complete()
            raise SourceFault(
                Reason.NO_PROGRESS, f"{len(self._lanes)} topics take no rows: too many to go on; see /state"
            )
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
        if suspicious or not batch.full or self._locking:
            await self._flight.arrive()
        if batch.full:
            await self._rest.busy()
            return
        with self._progress.resting():
            await self._rest.after(found, self._reader.begun, self._beat)

    async def _idle(self) -> None:
        """There is nothing that this process may read."""
        with self._progress.resting():
            await wait_for(self._ownership.changed, IDLE_SECONDS, self._beat)

    async def _follow_shards(self) -> None:
        """Forget the held rows of shards that moved: whoever owns them now sees to them."""
        owned = self._ownership.owned
        if self._shards - owned:
            await self._flight.arrive()
            self._held.forget()
            # The rows that stay ours were left out of reads, so the floor may be above them.
            self._reader.forget()
            self._progress.held(0, 0, len(self._lanes))
        self._shards = owned

    async def _admit(self, batch: Batch) -> bool:
        """Whether ``batch`` may be sent, after the one before it is done and the rate allows it."""
        await self._flight.complete()
        await self._circuit.check(idle=not batch.ids)
        if self._flight.left_behind:
            self._flight.left_behind = False
            return False
        self._leave_out(batch)
        if not (self._may_send() and await self._flow.admit(len(batch.ids), batch.size, self._stop, self._beat)):
            return False
        return self._may_send()

    def _leave_out(self, batch: Batch) -> None:
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

    def _may_read(self) -> bool:
        return bool(self._ownership.owned) and self._ownership.is_fresh(self._clock.monotonic())

    def _may_send(self) -> bool:
        return self._circuit.state == "Closed" and self._ownership.is_fresh(self._clock.monotonic())

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

    async def _see_to_poison(self) -> None:
        """Count what failed, and move aside what failed too often."""
        if not self._poison.is_due(busy=self._busy):
            return
        if self._poison.may_bury:
            await self._flight.arrive()
        gone, buried, fault = await self._poison.act()
        self._settler.add(buried)
        self._release([*gone, *buried])
        if fault is not None:
            await self._circuit.trip(fault)

    async def _retry_held(self) -> None:
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
        self._held.wait_again(due, now + AGAIN_SECONDS)
        ticket = self._ownership.begin()
        try:
            found = await self._source.read_rows(due)
        except BaseException:
            self._ownership.end(ticket)
            raise
        rows = [row for row in found if topic_of(row) not in self._lanes]
        batch = Batch(rows, ids_of(rows), ticket, full=True, size=size_of(rows))
        if not self._may_send():
            self._forget(batch)
            return
        still = {row[ROW_ID] for row in found}
        if rows:
            self._flight.begin(batch)
            await self._flight.complete()
            still.difference_update(self._settler.waiting)
            # Nothing was read behind these rows.
            self._flight.left_behind = False
        else:
            self._forget(batch)
        self._release(row_id for row_id in due if row_id not in still)
        await self._flight.settle()

    def _release(self, ids: Iterable[RowId]) -> None:
        """These rows are delivered or gone: what is behind them goes on."""
        for row_id in ids:
            self._held.release([row_id])
            self._reader.include(row_id)
            self._poison.over([row_id])
            log.info("row_released", row_id=row_id)
        self._progress.held(len(self._held), 0, len(self._lanes))

    async def _probe_topics(self) -> None:
        if self._lanes.is_due:
            await self._flight.complete()
            if await self._lanes.probe():
                self._reader.sweep()
            self._progress.held(len(self._held), 0, len(self._lanes))

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
                await self._see_to_poison()
                await self._flight.settle()
        except SourceFault as fault:
            log.warning("unsettled_at_stop", rows=len(self._settler.waiting), message=fault.message)
