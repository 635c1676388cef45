"""How the pump rests between reads: not at all while much comes, until the doorbell rings, or until a poll is due.

With a doorbell the relay says in a table that it sleeps, and the trigger of the outbox table notifies while it says so.
A writer does not ring whose INSERT ran before the flag could be seen. If it has committed when the flag is seen, the
read that follows the flag finds its rows; if it commits later, only a poll does. So polls follow a new flag at once and
then ever more rarely, up to maxPoll, which is also what a lost notification costs, or a writer whose snapshot is older
than the flag. A flag that stays up from one sleep to the next leaves no such gap: a read that began while it was up and
found nothing needs no second one.

What it costs: the flag is written when the relay falls asleep and every few seconds while it sleeps; a relay that is
busy takes it down, so that its writers need not notify at every commit.
"""

from collections.abc import Callable

import structlog

from outboxrelay.api.source import Read
from outboxrelay.decisions.polling import PollPolicy, pause_after
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, Doorbell
from outboxrelay.relay.waiting import wait_for, wait_for_any

log = structlog.get_logger(__name__)

BREATH_SECONDS = 0.001
"""Between a read that found rows and the next one, where a doorbell makes looking again cheap."""
BUSY_READS = 20
"""Reads with rows, one right after the other, after which writers are not asked to ring any more."""
VAIN_RINGS = 8
"""Rings in a row for rows that this process may not read: of other shards, of a held key."""
DEAF_SECONDS = 5.0
"""So long it polls then, and asks nobody to ring."""
LOOK_SECONDS = 60.0
"""A trigger that was hung up or taken away since is noticed after so long."""


class Rest:
    """Asked by the pump after each read. The doorbell is a convenience: nothing of it ever fails the pump."""

    def __init__(self, doorbell: Doorbell, ownership: Ownership, read: Read, clock: Clock) -> None:
        self._doorbell = doorbell
        self._ownership = ownership
        self._poll = PollPolicy(read.min_poll_milliseconds / 1000, read.max_poll_milliseconds / 1000)
        self._clock = clock
        self._pause = 0.0
        self._works = False
        self._look_at = self._deaf_until = 0.0
        self._busy = self._vain = 0
        self._rang = False
        self.limitation: str | None = None
        """Why there is no doorbell, and what to do; None where it works."""

    async def begin(self) -> None:
        """A new session."""
        self._pause, self._busy, self._vain, self._rang = 0.0, 0, 0, False
        self._deaf_until = 0.0
        await self._look()

    async def after(self, rows: int, full: bool, begun: float, beat: Callable[[], None]) -> None:
        """Wait after a read that began at ``begun`` and found ``rows``; ``full``: as many as it asked for."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            await self._look()
        if rows:
            # What rings from here on is for rows that the next read finds, or for ones that it comes before.
            self._doorbell.rung.clear()
            self._busy, self._vain, self._rang = self._busy + (BUSY_READS if full else 1), 0, False
            if self._busy >= BUSY_READS:
                await self._wake()
        if not self._works or now < self._deaf_until:
            await self._poll_later(rows, full, begun, beat)
        elif rows:
            await wait_for(self._ownership.changed, 0.0 if full else BREATH_SECONDS)
        else:
            await self._empty(begun, beat)

    async def _empty(self, begun: float, beat: Callable[[], None]) -> None:
        self._busy = 0
        self._vain = self._vain + 1 if self._rang else 0
        self._rang = False
        if self._vain == 1:
            # Rows are there that cannot be read yet, as with visibility Settled: polls look after them soon.
            self._pause = 0.0
        if self._vain > VAIN_RINGS:
            self._deaf_until, self._vain = self._clock.monotonic() + DEAF_SECONDS, 0
            await self._wake()
            await self._poll_later(0, False, begun, beat)
        elif await self._sleep():
            await self._listen(beat)
        else:
            # Once more before the wait, and then soon again: see above.
            self._pause = 0.0
            self._doorbell.rung.clear()

    async def _listen(self, beat: Callable[[], None]) -> None:
        """The bell is not silenced before the wait: it may have rung since the read."""
        self._pause = pause_after(self._poll, 0, False, self._pause, self._clock.chance())
        await wait_for_any((self._ownership.changed, self._doorbell.rung), self._pause, beat)
        self._rang = self._doorbell.rung.is_set()
        self._doorbell.rung.clear()

    async def _poll_later(self, rows: int, full: bool, begun: float, beat: Callable[[], None]) -> None:
        self._pause = pause_after(self._poll, rows, full, self._pause, self._clock.chance())
        await wait_for(self._ownership.changed, begun + self._pause - self._clock.monotonic(), beat)

    async def _look(self) -> None:
        self._look_at = self._clock.monotonic() + LOOK_SECONDS
        try:
            self.limitation = await self._doorbell.open()
        except SourceFault as fault:
            self._failed(fault)
        else:
            self._works = self.limitation is None

    async def _sleep(self) -> bool:
        """Ask to be woken; whether writers were asked already when the last read began."""
        try:
            return await self._doorbell.sleep(self._poll.longest)
        except SourceFault as fault:
            self._failed(fault)
            return True

    async def _wake(self) -> None:
        try:
            await self._doorbell.wake()
        except SourceFault as fault:
            self._failed(fault)

    def _failed(self, fault: SourceFault) -> None:
        """Poll until it is looked at again. A session that is lost is the heartbeat's to notice, and at once."""
        self._works = False
        self.limitation = f"the doorbell cannot be used, so the table is polled: {fault.message}"
        log.warning("doorbell_failed", reason=str(fault.reason), message=fault.message)
