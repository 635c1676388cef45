"""Telling receivers about incidents: each has its own task, queue and backoff, so that a dead one delays nothing."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from outboxrelay.api.incidents import Severity
from outboxrelay.controller.clock import Clock
from outboxrelay.decisions.incidents.notices import Notice
from outboxrelay.decisions.incidents.outbox import Outbox
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import NotificationFault

log = structlog.get_logger(__name__)

LEAST_WAIT = 0.01
BACKOFF = BackoffPolicy(initial=1.0, maximum=30.0, multiplier=2.0)


class Receiver(Protocol):
    """Somebody who is told."""

    @property
    def kind(self) -> str:
        """webhook or alertmanager."""

    @property
    def place(self) -> str:
        """Host and port, for logs."""

    @property
    def repeat(self) -> float | None:
        """Seconds after which it forgets; None where it is told once."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Tell; raises NotificationFault, within a few seconds."""


Count = Callable[[str, str, int], None]
"""Counts notices: kind of the receiver; sent, failed or dropped; how many."""


class Notifications:
    """Every receiver with what it has still to be told."""

    def __init__(
        self, receivers: Sequence[Receiver], *, clock: Clock, least: Severity = Severity.WARNING, count: Count
    ) -> None:
        self._lines = [_Line(receiver, clock, count) for receiver in receivers]
        self._least = least

    def tell(self, notice: Notice, *, wait: float = 0.0) -> None:
        """Tell everybody of a change, after ``wait`` seconds; returns at once."""
        for line in self._interested(notice):
            line.put(notice, wait)

    def renew(self, notice: Notice, *, wait: float = 0.0) -> None:
        """Say more of a change when it is told, or told again; one that was not told yet may wait a little more."""
        for line in self._interested(notice):
            line.renew(notice, wait)

    def adopt(self, notice: Notice) -> None:
        """Go on telling of an incident that another leader opened and told."""
        for line in self._interested(notice):
            line.adopt(notice)

    def pending(self) -> dict[str, int]:
        """Notices that wait, by kind of receiver; what is only repeated does not wait."""
        found: dict[str, int] = {}
        for line in self._lines:
            found[line.kind] = found.get(line.kind, 0) + line.waiting()
        return found

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines:
                group.create_task(line.run(), name=f"notify {line.kind}")
            await asyncio.Event().wait()

    def _interested(self, notice: Notice) -> list["_Line"]:
        mild = self._least is Severity.CRITICAL and notice.incident.severity != Severity.CRITICAL
        return [] if mild else self._lines


class _Line:
    """One receiver."""

    def __init__(self, receiver: Receiver, clock: Clock, count: Count) -> None:
        self._receiver = receiver
        self._clock = clock
        self._count = count
        self._changed = asyncio.Event()
        self._failures = 0
        self._told_dropped = 0
        self.kind = receiver.kind
        self.outbox = Outbox(receiver.repeat)

    def put(self, notice: Notice, wait: float) -> None:
        self.outbox.put(notice, self._clock.monotonic(), wait=wait)
        self._changed.set()

    def renew(self, notice: Notice, wait: float) -> None:
        self.outbox.renew(notice, self._clock.monotonic(), wait=wait)

    def adopt(self, notice: Notice) -> None:
        self.outbox.adopt(notice, self._clock.monotonic())
        self._changed.set()

    def waiting(self) -> int:
        now = self._clock.monotonic()
        return sum(1 for entry in self.outbox.entries.values() if entry.due <= now)

    async def run(self) -> None:
        while True:
            await self._wait()
            if not await self._once():
                self._failures += 1
                await asyncio.sleep(backoff(BACKOFF, self._failures, self._clock.chance()))

    async def _wait(self) -> None:
        """Wait until something is due."""
        while True:
            self._changed.clear()
            due, now = self.outbox.next_due(), self._clock.monotonic()
            if due is not None and due <= now:
                return
            try:
                # A timer may be early by the clock's resolution: a shorter wait would become a tight loop.
                async with asyncio.timeout(None if due is None else max(due - now, LEAST_WAIT)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _once(self) -> bool:
        """Send what is due; whether it arrived."""
        batch = self.outbox.due(self._clock.monotonic())
        self._note_dropped()
        if not batch:
            return True
        try:
            await self._receiver.send([entry.notice for entry in batch])
        except NotificationFault as fault:
            self._count(self.kind, "failed", len(batch))
            if fault.permanent:
                self.outbox.refused(batch)
            if self._failures in (0, 10) or self._failures % 100 == 0:
                log.warning("notification_failed", receiver=self.kind, message=fault.message, failures=self._failures)
            self._note_dropped()
            return False
        if self._failures:
            log.info("notifications_arrive_again", receiver=self.kind, place=self._receiver.place)
        self._failures = 0
        self.outbox.sent(batch, self._clock.monotonic())
        self._count(self.kind, "sent", len(batch))
        return True

    def _note_dropped(self) -> None:
        if self.outbox.dropped > self._told_dropped:
            new = self.outbox.dropped - self._told_dropped
            self._told_dropped = self.outbox.dropped
            self._count(self.kind, "dropped", new)
            log.warning("notifications_given_up", receiver=self.kind, place=self._receiver.place, count=new)
