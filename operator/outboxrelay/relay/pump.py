"""The pump: read → publish → settle, one for all shards of the process (docs/decisions/0001-one-pump-per-process.md).

While a full batch is on its way the one before it is settled and the next one is read. A batch is sent only when the
one before it is wholly confirmed, so the order of a key never depends on what happens inside the producer.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.api.policy import Ordering
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refused
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.decisions.rows import Row, RowId, topic_of
from outboxrelay.errors import SourceFault
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.careful import Careful
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.flow import Flow
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.poison import PoisonRows
from outboxrelay.relay.ports import Clock, Publisher, RowSource
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.renewal import Renewals
from outboxrelay.relay.rest import Rest
from outboxrelay.relay.rounds import publish_in_rounds
from outboxrelay.relay.settler import Settler
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
"""Between looks at what may be done while nothing may be read."""
ABORT_SECONDS = 15.0
"""For a publisher's thread to end after abort(); past it the thread is stuck, which is a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpParts:
    """What a pump works with."""

    source: RowSource
    publisher: Publisher
    circuit: Circuit
    settler: Settler
    ownership: Ownership
    held: HeldKeys
    lanes: TopicLanes
    poison: PoisonRows
    careful: Careful
    reader: Reader
    flow: Flow
    rest: Rest
    renewals: Renewals
    progress: Progress
    ordering: Ordering
    policy: BackoffPolicy
    health: HealthTracker
    beats: Beats
    clock: Clock
    stop: asyncio.Event


class Pump:
    """Carries rows of the owned shards while ``run`` runs."""

    def __init__(self, parts: PumpParts) -> None:
        self._source = parts.source
        self._publisher = parts.publisher
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
        self._one_per_key = parts.ordering.in_flight_per_key == "One"
        # Rows that are locked rather than owned are settled in the transaction that read them.
        self._locking = parts.ordering.mode == "None"
        self._policy = parts.policy
        self._health = parts.health
        self._beats = parts.beats
        self._clock = parts.clock
        self._stop = parts.stop
        self._publishing: tuple[Batch, asyncio.Task[Outcome]] | None = None
        self._settling: list[int] = []
        self._left_behind = False
        """Whether the last batch left rows in the table that nothing holds: what was read behind them must wait."""
        self._busy = False
        """Whether the last read found more than it could take."""
        self._failures = 0
        self._beat: Callable[[], None] = _no_beat

    async def run(self) -> None:
        """Until told to stop; what is on its way then is finished and settled. Raises nothing but bugs."""
        with self._beats.watch("pump") as self._beat:
            try:
                while not self._stop.is_set():
                    await self._turn()
                await self._finish()
            finally:
                await self._abandon()

    async def _turn(self) -> None:
        self._beat()
        self._ownership.changed.clear()
        try:
            if self._circuit.state == "Open":
                await self._settle()
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
        await self._complete()
        try:
            await self._settle()
        except SourceFault:
            # Those in use may not settle any more; what is confirmed is settled with the others.
            log.debug("unsettled")
        if self._circuit.state == "Closed" and "source" in await self._renewals.switch():
            await self._poison.renewed()

    async def step(self) -> None:
        """One read, and what it found on its way. Raises SourceFault."""
        if not self._may_read():
            await self._arrive()
            await wait_for(self._ownership.changed, IDLE_SECONDS, self._beat)
            return
        await self._careful.look()
        await self._see_to_poison()
        await self._retry_held()
        await self._probe_topics()
        if self._held.is_full:
            await self._complete()
            raise SourceFault(Reason.NO_PROGRESS, f"{len(self._held)} keys are held: too many to go on; see /state")
        if self._held.blocks_all:
            await self._arrive()
            await wait_for(self._ownership.changed, IDLE_SECONDS, self._beat)
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
            return
        await self._send(batch)
        self._busy = batch.full
        if not batch.full or self._careful.active or self._locking:
            await self._arrive()
        if not batch.full:
            await self._rest.after(found, batch.full, self._reader.begun, self._beat)

    async def _admit(self, batch: Batch) -> bool:
        """Whether ``batch`` may be sent, after the one before it is done and the rate allows it."""
        await self._complete()
        await self._circuit.check(idle=not batch.ids)
        if self._left_behind:
            self._left_behind = False
            return False
        if not (self._may_send() and await self._flow.admit(len(batch.ids), batch.size, self._stop, self._beat)):
            return False
        return self._may_send()

    def _may_read(self) -> bool:
        return bool(self._ownership.owned) and self._ownership.is_fresh(self._clock.monotonic())

    def _may_send(self) -> bool:
        return self._circuit.state == "Closed" and self._ownership.is_fresh(self._clock.monotonic())

    async def _read(self) -> Batch:
        """The next rows, while the batch before the one on its way is settled; raises SourceFault."""
        begun = self._clock.monotonic()
        in_flight = [*self._settler.waiting, *(self._publishing[0].ids if self._publishing else [])]
        bounds = [most for most in (self._flow.most_rows(), self._careful.most_rows) if most is not None]
        reading = asyncio.create_task(self._reader.read(in_flight, min(bounds, default=None)), name="read")
        try:
            await self._settle()
            batch = await reading
        except BaseException:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled() and reading.exception() is None:
                self._forget(reading.result())
            raise
        self._progress.read(self._clock.monotonic() - begun, len(batch.rows), len(in_flight))
        return batch

    async def _send(self, batch: Batch) -> None:
        """Begin to publish; rows whose key or topic was held since they were read stay in the table."""
        rows, condemned = self._careful.sift(batch.rows)
        goes_on = len(rows) + len(condemned) < len(batch.rows)
        if condemned:
            self._poison.note(batch.rows, condemned)
        rows = self._held.free(rows)
        if len(self._lanes):
            rows = [row for row in rows if topic_of(row) not in self._lanes]
        if len(rows) < len(batch.rows):
            # What a key or a topic keeps back need not be looked for again at once; suspects that go alone are next.
            batch.full = batch.full or (goes_on and len(rows) > 0)
            batch.rows, batch.ids, batch.size = rows, ids_of(rows), size_of(rows)
        if not rows:
            self._forget(batch)
            return
        if self._careful.active:
            try:
                await self._careful.start(rows)
            except BaseException:
                self._forget(batch)
                raise
        self._publish(batch)

    def _waits(self, row: Row) -> bool:
        """Whether ``row`` stays in the table because of its key or its topic."""
        return self._held.holds(row) or topic_of(row) in self._lanes

    def _publish(self, batch: Batch) -> None:
        self._progress.begin(len(batch.rows))
        if self._one_per_key:
            work = publish_in_rounds(self._publisher, batch.rows)
        else:
            work = self._publisher.publish(batch.rows)
        self._publishing = (batch, asyncio.ensure_future(work))

    async def _complete(self) -> None:
        """Wait for the batch on its way, if any, and take note of what became of it."""
        if self._publishing is None:
            return
        batch, task = self._publishing
        while not task.done():
            await asyncio.wait({task}, timeout=IDLE_SECONDS)
            self._beat_if_alive()
        self._publishing = None
        outcome = task.result()
        self._absorb(batch, outcome)
        if isinstance(outcome, Broken):
            self._reader.forget()
            self._flow.outage()
            await self._circuit.trip(outcome.fault)
            await self._source.release()
        refused = [refusal.row_id for refusal in outcome.refusals] if isinstance(outcome, Refused) else []
        await self._careful.finish(refused)

    async def _arrive(self) -> None:
        """Wait for what is on its way, and settle it."""
        await self._complete()
        await self._settle()

    def _beat_if_alive(self) -> None:
        """The publisher's thread must show progress of its own: a loop that waits for a dead one is stuck too."""
        if self._publisher.is_alive():
            self._beat()

    def _absorb(self, batch: Batch, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._took(batch, batch.ids, batch.size, proof=True)
            return
        if isinstance(outcome, Refused):
            self._refused(batch, outcome)
            away = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
            rows = [row for row in batch.rows if row[0] not in away]
        elif isinstance(outcome, Broken):
            self._held.overtaken += outcome.overtaken
            self._progress.held(len(self._held), outcome.overtaken, len(self._lanes))
            confirmed = set(outcome.confirmed)
            rows = [row for row in batch.rows if row[0] in confirmed]
        else:
            assert_never(outcome)
        self._took(batch, ids_of(rows), size_of(rows), proof=bool(rows) and isinstance(outcome, Refused))

    def _took(self, batch: Batch, confirmed: list[RowId], size: int, *, proof: bool) -> None:
        """Kafka has ``confirmed``; ``proof``: the brokers work."""
        self._settler.add(confirmed)
        self._settling.append(batch.ticket)
        self._poison.over(confirmed)
        self._flow.confirmed(len(confirmed), size, self._progress.end(len(confirmed), size))
        if milliseconds := self._publisher.throttled():
            self._flow.throttled(milliseconds)
        if proof:
            self._circuit.delivered()

    def _refused(self, batch: Batch, outcome: Refused) -> None:
        self._held.overtaken += outcome.overtaken
        self._poison.note(batch.rows, outcome.refusals)
        for fault in outcome.blocked:
            self._lanes.block(fault)
        # What a held key or a blocked topic keeps back is left out of what was read behind it too, when that is sent.
        self._left_behind = any(row[0] in outcome.unsent and not self._waits(row) for row in batch.rows)
        self._progress.held(len(self._held), outcome.overtaken, len(self._lanes))

    async def _settle(self) -> None:
        begun = self._clock.monotonic()
        if await self._settler.settle():
            self._progress.settled(self._clock.monotonic() - begun)
        elif self._locking:
            await self._source.release()
        for ticket in self._settling:
            self._ownership.end(ticket)
        self._settling.clear()

    async def _see_to_poison(self) -> None:
        """Count what failed, and move aside what failed too often."""
        if not self._poison.is_due(busy=self._busy):
            return
        if self._poison.may_bury:
            await self._arrive()
        gone, buried, fault = await self._poison.act()
        self._settler.add(buried)
        self._release([*gone, *buried])
        if fault is not None:
            await self._circuit.trip(fault)

    async def _retry_held(self) -> None:
        """Try rows again that were held for a while, each alone with what it needs: it may have been mended."""
        due = self._held.due(self._clock.monotonic())
        if not due or self._circuit.state == "Open":
            return
        await self._complete()
        ticket = self._ownership.begin()
        try:
            rows = await self._source.read_rows(due)
        except BaseException:
            self._ownership.end(ticket)
            raise
        batch = Batch(rows, ids_of(rows), ticket, full=True, size=size_of(rows))
        if not self._may_send():
            self._forget(batch)
            return
        still: set[RowId] = set()
        if rows:
            self._publish(batch)
            await self._complete()
            still = set(batch.ids).difference(self._settler.waiting)
        else:
            self._forget(batch)
        self._release(row_id for row_id in due if row_id not in still)
        await self._settle()

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
            await self._complete()
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
        self._flow.outage()
        log.warning(
            "source_failed",
            reason=str(fault.reason),
            message=fault.message,
            failures=self._failures,
            retry_in_seconds=round(wait, 3),
        )
        try:
            await self._complete()
        except SourceFault:
            # What the database should remember is written when it is back.
            log.debug("unremembered")
        await self._source.close()
        await self._settler.close()
        self._reader.forget()
        await wait_for(self._stop, wait, self._beat)

    def _source_worked(self) -> None:
        self._failures = 0
        self._health.good()

    async def _finish(self) -> None:
        """The orderly end: nothing new, but what is on its way arrives and is settled."""
        self._busy = False
        try:
            await self._arrive()
            if self._poison.is_due(busy=False) and self._circuit.state == "Closed":
                await self._see_to_poison()
                await self._settle()
        except SourceFault as fault:
            log.warning("unsettled_at_stop", rows=len(self._settler.waiting), message=fault.message)

    async def _abandon(self) -> None:
        """The other end: whatever is still on its way is given up, and started again from the table."""
        if self._publishing is None:
            return
        batch, task = self._publishing
        self._publisher.abort()
        done, _ = await asyncio.wait({task}, timeout=ABORT_SECONDS)
        if not done:
            raise RuntimeError("the publisher's thread does not end")
        self._publishing = None
        self._absorb(batch, task.result())


def _no_beat() -> None:
    """Before ``run`` nobody expects one."""
