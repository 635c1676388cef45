"""The batch on its way: published, waited for, and what became of each of its rows."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refused
from outboxrelay.decisions.rows import ROW_ID, Row, RowId, topic_of
from outboxrelay.relay.batch import Batch, ids_of, size_of
from outboxrelay.relay.pump_parts import PumpParts
from outboxrelay.relay.rounds import publish_in_rounds

Beat = Callable[[], None]

LOOK_SECONDS = 1.0
"""Between signs of life while a batch is waited for."""
ABORT_SECONDS = 15.0
"""For a publisher's thread to end after abort(); past it the thread is stuck, which is a bug."""


class Flight:
    """One batch at a time."""

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
        self._progress = parts.progress
        self._one_per_key = parts.ordering.in_flight_per_key == "One"
        self._locking = parts.ordering.mode == "None"
        self._clock = parts.clock
        self._publishing: tuple[Batch, asyncio.Task[Outcome]] | None = None
        self._settling: list[int] = []
        """Tickets of batches that are confirmed."""
        self.left_behind = False
        """Whether the last batch left rows in the table that nothing holds: what was read behind them must wait."""
        self.beat: Beat = no_beat

    @property
    def ids(self) -> list[RowId]:
        """Rows on their way, and confirmed ones that are still in the table: to be left out of reads."""
        return [*self._settler.unsettled, *(self._publishing[0].ids if self._publishing else [])]

    @property
    def may_begin(self) -> bool:
        """Whether rows may be sent: brokers take them, and they are still this process's to send."""
        return self._circuit.state == "Closed" and self._ownership.is_fresh(self._clock.monotonic())

    def begin(self, batch: Batch) -> None:
        """Publish ``batch``; nothing else is on its way."""
        self._progress.begin(len(batch.rows))
        if self._one_per_key:
            work = publish_in_rounds(self._publisher, batch.rows)
        else:
            work = self._publisher.publish(batch.rows)
        self._publishing = (batch, asyncio.ensure_future(work))

    async def complete(self) -> None:
        """Wait for the batch on its way, if any, and take note of what became of it."""
        if self._publishing is None:
            return
        batch, task = self._publishing
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            self._beat_if_alive()
        self._publishing = None
        outcome = task.result()
        self._absorb(batch, outcome)
        if isinstance(outcome, Broken):
            self._reader.forget()
            self._flow.outage()
            self._progress.interrupted()
            await self._circuit.trip(outcome.fault)
            await self._source.release()
        refused = [refusal.row_id for refusal in outcome.refusals] if isinstance(outcome, Refused) else []
        await self._careful.finish(refused)

    async def arrive(self) -> None:
        """Wait for what is on its way, and settle it."""
        await self.complete()
        await self.settle()

    async def settle(self) -> None:
        """Settle what was confirmed, and give its tickets back; raises SourceFault."""
        begun = self._clock.monotonic()
        if await self._settler.settle():
            self._progress.settled(self._clock.monotonic() - begun)
        elif self._locking:
            await self._source.release()
        for ticket in self._settling:
            self._ownership.end(ticket)
        self._settling.clear()

    async def abandon(self) -> None:
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

    def _beat_if_alive(self) -> None:
        """The publisher's thread must show progress of its own: a loop that waits for a dead one is stuck too."""
        if self._publisher.is_alive():
            self.beat()

    def _absorb(self, batch: Batch, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._took(batch, batch.ids, batch.size, proof=True)
            return
        if isinstance(outcome, Refused):
            self._refused(batch, outcome)
            self._took(batch, batch.ids, batch.size, proof=bool(batch.ids))
        elif isinstance(outcome, Broken):
            self._held.overtaken += outcome.overtaken
            self._progress.held(len(self._held), outcome.overtaken, len(self._lanes))
            confirmed = set(outcome.confirmed)
            rows = [row for row in batch.rows if row[0] in confirmed]
            self._took(batch, ids_of(rows), size_of(rows), proof=False)
        else:
            assert_never(outcome)

    def _waits(self, row: Row) -> bool:
        """Whether ``row`` stays in the table because of its key or its topic."""
        return self._held.holds(row) or topic_of(row) in self._lanes

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
        """Take out of ``batch`` what was not delivered."""
        self._held.overtaken += outcome.overtaken
        left = batch.take_out({*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)})
        self._poison.note(left, outcome.refusals)
        for fault in outcome.blocked:
            self._lanes.block(fault)
        # What a held key or a blocked topic keeps back is left out of what was read behind it too, when that is sent.
        self.left_behind = any(row[ROW_ID] in outcome.unsent and not self._waits(row) for row in left)
        if self.left_behind:
            self._reader.retreat()
        while self._held.let_go:
            self._reader.include(self._held.let_go.pop())
        self._progress.held(len(self._held), outcome.overtaken, len(self._lanes))


def no_beat() -> None:
    """Before ``run`` nobody expects one."""
