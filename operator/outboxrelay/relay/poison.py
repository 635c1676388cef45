"""Rows that cannot be sent: their keys are held at once, the attempt is counted, and the policy says what follows."""

from collections.abc import Iterable, Sequence

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.api.policy import Poison as Policy
from outboxrelay.api.report import HeldRow, Quarantine
from outboxrelay.decisions.outcomes import Broken, DeadLetter, Refusal, Refused
from outboxrelay.decisions.poison import Failure, Fate, fate
from outboxrelay.decisions.rows import EVENT_ID, KEY, PAYLOAD, ROW_ID, SIZE, Row, RowId
from outboxrelay.errors import TargetFault
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ports import Clock, PoisonStore, Publisher

log = structlog.get_logger(__name__)

COUNT_SECONDS = 15.0
PATIENCE_SECONDS = 0.5
"""A busy relay writes attempts down so late at most, those of many batches at once; a row is not tried again sooner."""


class PoisonRows:
    """From a refusal to what becomes of the row."""

    def __init__(
        self,
        *,
        policy: Policy,
        store: PoisonStore,
        held: HeldKeys,
        publisher: Publisher,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._store = store
        self._held = held
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._noted: dict[RowId, tuple[Row, Refusal]] = {}
        self._remembered: set[RowId] = set()
        """Rows of which the database remembers attempts."""
        self._unlogged: list[HeldRow] = []
        """Rows that were not held before: a line for each takes a while, for which no batch should wait."""
        self._over: list[RowId] = []
        self._since = 0.0
        """When the oldest of what ``act`` has to do came up."""
        self._count: int | None = None
        self._counted_at = 0.0
        self._limit_reached = False
        self._moved = 0
        self.limitations: tuple[str, ...] = ()

    async def begin(self) -> None:
        """A new session: see what the database can remember; raises SourceFault."""
        self.limitations = await self._store.open()
        self._remembered = {item.row_id for item in await self._store.load()}
        await self._look(self._clock.monotonic())

    async def renewed(self) -> None:
        """Perhaps another user: see what it may do; raises SourceFault."""
        self.limitations = await self._store.open()

    def forget(self) -> None:
        """The session is over."""
        self._log()
        self._noted.clear()
        self._over.clear()

    def note(self, rows: Iterable[Row], refusals: Sequence[Refusal]) -> None:
        """``refusals`` of ``rows`` came back: hold their keys; what else follows, ``act`` does."""
        now, when = self._clock.monotonic(), self._clock.now()
        by_id = {refusal.row_id: refusal for refusal in refusals}
        rows = [row for row in rows if row[ROW_ID] in by_id]
        self._came_up(now)
        self._unlogged += self._held.hold(rows, refusals, now, when)
        self._noted.update((row[ROW_ID], (row, by_id[row[ROW_ID]])) for row in rows if self._held.is_held(row[ROW_ID]))

    def over(self, ids: Iterable[RowId]) -> None:
        """These rows are delivered or gone: nothing needs to be remembered of them."""
        if self._remembered:
            self._came_up(self._clock.monotonic())
            self._over.extend(self._remembered.intersection(ids))

    def is_due(self, *, busy: bool) -> bool:
        """Whether ``act`` has anything to do; ``busy``: full batches follow each other, and it can wait a while."""
        now = self._clock.monotonic()
        if (self._noted or self._over) and (not busy or now - self._since >= PATIENCE_SECONDS):
            return True
        return now - self._counted_at >= COUNT_SECONDS

    @property
    def may_bury(self) -> bool:
        """Whether ``act`` may need the publisher, which sends one thing at a time."""
        return self._policy.action == "DeadLetterTopic"

    async def act(self) -> tuple[list[RowId], list[RowId], TargetFault | None]:
        """Count attempts and move aside what is ripe; raises SourceFault.

        Returns rows that left the table, rows that arrived at the dead letter topic (to be settled), and what is wrong
        with the brokers, if that came out.
        """
        now = self._clock.monotonic()
        self._log()
        if self._over:
            await self._store.finish(self._over)
            self._remembered.difference_update(self._over)
            self._over.clear()
        gone: list[RowId] = []
        letters: list[DeadLetter] = []
        if self._noted:
            gone, letters = await self._count_and_move()
        if gone or now - self._counted_at >= COUNT_SECONDS:
            await self._look(now)
        buried, fault = await self._bury(letters, now)
        return gone, buried, fault

    def report(self) -> Quarantine:
        """For /state."""
        return Quarantine(rows=self._count, limit_reached=self._limit_reached, moved_total=self._moved)

    async def _count_and_move(self) -> tuple[list[RowId], list[DeadLetter]]:
        policy, noted = self._policy, dict(self._noted)
        failures = [_failure(row, refusal) for row, refusal in noted.values()]
        # Attempts that ended the process are on record as started and never finished, and must stay so.
        counted = [item for item in failures if item.reason != Reason.ROW_ENDS_PROCESS]
        counts = await self._store.failed(counted) if counted else {}
        self._remembered.update(counts)
        self._noted.clear()
        quarantine: list[Failure] = []
        letters: list[DeadLetter] = []
        for failure in failures:
            row, refusal = noted[failure.row_id]
            attempts = counts.get(failure.row_id) or self._held.attempts(failure.row_id)
            ends = refusal.reason is Reason.ROW_ENDS_PROCESS
            self._held.counted(failure.row_id, attempts, never=ends)
            tried = max(attempts, policy.max_attempts if ends else 0)
            unread = row[PAYLOAD] is None and row[SIZE] is not None
            what = fate(policy.action, tried, policy.max_attempts, only_in_place=ends or unread)
            if what is Fate.QUARANTINE:
                quarantine.append(failure)
            elif what is Fate.BURY:
                letters.append(DeadLetter(row, refusal, attempts))
        moved = await self._store.quarantine(quarantine, policy.max_quarantined_rows) if quarantine else frozenset()
        for failure in quarantine:
            if failure.row_id in moved:
                log.error("row_quarantined", row_id=failure.row_id, event_id=failure.event_id, reason=failure.reason)
        self._left(moved)
        return list(moved), letters

    async def _bury(self, letters: list[DeadLetter], now: float) -> tuple[list[RowId], TargetFault | None]:
        """Send ``letters``; what does not get through is held and tried again."""
        if not letters:
            return [], None
        outcome = await self._publisher.bury(letters)
        lost: set[RowId] = set()
        fault: TargetFault | None = None
        if isinstance(outcome, Broken):
            fault = outcome.fault
            lost = {letter.row[ROW_ID] for letter in letters}.difference(outcome.confirmed)
        if isinstance(outcome, Refused):
            lost = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
            rows = [letter.row for letter in letters]
            self._held.hold(rows, outcome.refusals, now, self._clock.now())
            for blocked in outcome.blocked:
                log.error("dead_letter_topic_blocked", topic=blocked.topic, message=blocked.message)
        buried = [letter.row[ROW_ID] for letter in letters if letter.row[ROW_ID] not in lost]
        for letter in letters:
            if letter.row[ROW_ID] not in lost:
                log.error("row_buried", row_id=letter.row[ROW_ID], event_id=letter.row[EVENT_ID])
        self._left(buried)
        return buried, fault

    def _left(self, ids: Iterable[RowId]) -> None:
        ids = list(ids)
        self._moved += len(ids)
        self._metrics.moved_aside.inc(len(ids))
        self.over(ids)

    def _log(self) -> None:
        for held in self._unlogged:
            log.error("row_held", row_id=held.row_id, event_id=held.event_id, reason=held.reason, message=held.message)
        self._unlogged.clear()

    def _came_up(self, now: float) -> None:
        if not (self._noted or self._over):
            self._since = now

    async def _look(self, now: float) -> None:
        self._counted_at = now
        self._count = await self._store.quarantined()
        self._limit_reached = self._count is not None and self._count >= self._policy.max_quarantined_rows
        self._metrics.quarantined.set(self._count or 0)


def _failure(row: Row, refusal: Refusal) -> Failure:
    return Failure(row[ROW_ID], row[EVENT_ID], row[KEY], str(refusal.reason), refusal.message)
