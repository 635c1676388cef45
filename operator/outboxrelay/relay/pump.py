"""The pump: read → publish → settle, one for all shards of the process (docs/decisions/0001-one-pump-per-process.md).

While a full batch is on its way the one before it is settled and the next one is read. A batch is sent only when the
one before it is wholly confirmed, so the order of a key never depends on what happens inside the producer.
"""

import asyncio
from typing import TYPE_CHECKING, assert_never

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refused
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import SourceFault
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, Publisher, RowSource
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.settler import Settler
from outboxrelay.relay.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
"""Between looks at what may be done while nothing may be read."""
ABORT_SECONDS = 15.0
"""For a publisher's thread to end after abort(); past it the thread is stuck, which is a bug."""


class Pump:
    """Carries rows of the owned shards while ``run`` runs."""

    def __init__(
        self,
        *,
        source: RowSource,
        publisher: Publisher,
        circuit: Circuit,
        settler: Settler,
        ownership: Ownership,
        held: HeldKeys,
        reader: Reader,
        progress: Progress,
        policy: BackoffPolicy,
        health: HealthTracker,
        beats: Beats,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._source = source
        self._publisher = publisher
        self._circuit = circuit
        self._settler = settler
        self._ownership = ownership
        self._held = held
        self._reader = reader
        self._progress = progress
        self._policy = policy
        self._health = health
        self._beats = beats
        self._clock = clock
        self._stop = stop
        self._publishing: tuple[Batch, asyncio.Task[Outcome]] | None = None
        self._settling: list[int] = []
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
            await self._settle()
            if await self._circuit.restore(self._stop, self._beat):
                await self.step()
        except SourceFault as fault:
            await self._source_failed(fault)
        else:
            self._source_worked()

    async def step(self) -> None:
        """One read, and what it found on its way. Raises SourceFault."""
        if not self._may_read():
            await self._complete()
            await self._settle()
            await wait_for(self._ownership.changed, IDLE_SECONDS, self._beat)
            return
        await self._retry_held()
        if self._held.is_full:
            await self._complete()
            raise SourceFault(Reason.NO_PROGRESS, f"{len(self._held)} keys are held: too many to go on; see /state")
        batch = await self._read()
        await self._complete()
        await self._circuit.check(idle=not batch.ids)
        if not self._may_send(batch):
            self._forget(batch)
            return
        self._send(batch)
        if not batch.full:
            await self._complete()
            await self._settle()
            await self._rest()

    def _may_read(self) -> bool:
        fresh = self._ownership.is_fresh(self._clock.monotonic())
        return bool(self._ownership.owned) and fresh

    def _may_send(self, batch: Batch) -> bool:
        return self._circuit.state == "Closed" and self._ownership.is_fresh(self._clock.monotonic())

    async def _read(self) -> Batch:
        begun = self._clock.monotonic()
        in_flight = self._publishing[0].ids if self._publishing else []
        batch = await self._reader.read(in_flight)
        self._progress.read(self._clock.monotonic() - begun, len(batch.rows), len(in_flight))
        return batch

    def _send(self, batch: Batch) -> None:
        """Begin to publish; rows whose key was held since they were read stay in the table."""
        if len(self._held):
            batch.rows = [row for row in batch.rows if not self._held.holds(row)]
            batch.ids, batch.size = ids_of(batch.rows), size_of(batch.rows)
        if not batch.rows:
            self._ownership.end(batch.ticket)
            return
        self._progress.begin(len(batch.rows))
        self._publishing = (batch, asyncio.create_task(self._publisher.publish(batch.rows), name="publish"))

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
            await self._circuit.trip(outcome.fault)

    def _beat_if_alive(self) -> None:
        """The publisher's thread must show progress of its own: a loop that waits for a dead one is stuck too."""
        if self._publisher.is_alive():
            self._beat()

    def _absorb(self, batch: Batch, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._took(batch, batch.ids, batch.size, proof=True)
            return
        if isinstance(outcome, Refused):
            self._hold(batch, outcome)
            away = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
            rows = [row for row in batch.rows if row[0] not in away]
        elif isinstance(outcome, Broken):
            confirmed = set(outcome.confirmed)
            rows = [row for row in batch.rows if row[0] in confirmed]
        else:
            assert_never(outcome)
        self._took(batch, ids_of(rows), size_of(rows), proof=bool(rows) and isinstance(outcome, Refused))

    def _took(self, batch: Batch, confirmed: list[int], size: int, *, proof: bool) -> None:
        """Kafka has ``confirmed``; ``proof``: the brokers work."""
        self._settler.add(confirmed)
        self._settling.append(batch.ticket)
        self._progress.end(len(confirmed), size)
        if proof:
            self._circuit.delivered()

    def _hold(self, batch: Batch, outcome: Refused) -> None:
        now, when = self._clock.monotonic(), self._clock.now()
        self._held.overtaken += outcome.overtaken
        for row in self._held.hold(batch.rows, outcome.refusals, now, when):
            log.error("row_held", row_id=row.row_id, event_id=row.event_id, reason=row.reason, message=row.message)
        self._progress.held(len(self._held), outcome.overtaken)

    async def _settle(self) -> None:
        begun = self._clock.monotonic()
        if await self._settler.settle():
            self._progress.settled(self._clock.monotonic() - begun)
        for ticket in self._settling:
            self._ownership.end(ticket)
        self._settling.clear()

    async def _retry_held(self) -> None:
        """Try rows again that were held for a while, each alone with what it needs: it may have been mended."""
        due = self._held.due(self._clock.monotonic())
        if not due:
            return
        await self._complete()
        ticket = self._ownership.begin()
        try:
            rows = await self._source.read_rows(due)
        except BaseException:
            self._ownership.end(ticket)
            raise
        batch = Batch(rows, ids_of(rows), ticket, full=True, size=size_of(rows))
        if not self._may_send(batch):
            self._forget(batch)
            return
        still = set()
        if rows:
            self._progress.begin(len(rows))
            self._publishing = (batch, asyncio.create_task(self._publisher.publish(rows), name="publish"))
            await self._complete()
            still = set(batch.ids) - set(self._settler.waiting)
        else:
            self._ownership.end(ticket)
        for row_id in set(due) - still:
            self._held.release([row_id])
            self._reader.include(row_id)
            log.info("row_released", row_id=row_id)
        self._progress.held(len(self._held), 0)
        await self._settle()

    async def _rest(self) -> None:
        """Until the next read is due."""
        left = self._reader.begun + self._reader.pause - self._clock.monotonic()
        await wait_for(self._ownership.changed, left, self._beat)

    def _forget(self, batch: Batch) -> None:
        self._ownership.end(batch.ticket)

    async def _source_failed(self, fault: SourceFault) -> None:
        """Finish what is on its way, then connect anew after a wait; the locks may well be intact."""
        self._failures += 1
        wait = backoff(self._policy, self._failures, self._clock.chance())
        self._health.bad(fault)
        self._progress.source_failed(fault.reason)
        log.warning(
            "source_failed",
            reason=str(fault.reason),
            message=fault.message,
            failures=self._failures,
            retry_in_seconds=round(wait, 3),
        )
        await self._complete()
        await self._source.close()
        await self._settler.close()
        self._reader.forget()
        await wait_for(self._stop, wait, self._beat)

    def _source_worked(self) -> None:
        self._failures = 0
        self._health.good()

    async def _finish(self) -> None:
        """The orderly end: nothing new, but what is on its way arrives and is settled."""
        await self._complete()
        try:
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
