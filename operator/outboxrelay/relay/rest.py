"""How the pump rests between reads: not at all while much comes, until the doorbell rings, or until a poll is due."""

from collections.abc import Callable

from outboxrelay.api.source import Read
from outboxrelay.decisions.polling import PollPolicy, pause_after
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, Doorbell
from outboxrelay.relay.waiting import wait_for

BREATH_SECONDS = 0.001
"""Between a read that found rows and the next one, where a doorbell makes looking again cheap."""
BUSY_READS = 20
"""Reads with rows, one right after the other, after which writers are not asked to ring any more."""


class Rest:
    """With a doorbell: after an empty read the process says that it sleeps, reads once more, and then waits.

    The second read is what makes it safe. A writer that committed before the flag could be seen did not ring, but its
    rows are in the second read's snapshot; one that commits later sees the flag, and rings. A notification that gets
    lost all the same costs one poll, never a row.
    """

    def __init__(self, doorbell: Doorbell, ownership: Ownership, read: Read, clock: Clock) -> None:
        self._doorbell = doorbell
        self._ownership = ownership
        self._poll = PollPolicy(read.min_poll_milliseconds / 1000, read.max_poll_milliseconds / 1000)
        self._clock = clock
        self._pause = 0.0
        self._works = False
        self._asleep = False
        self._busy = 0
        self.limitation: str | None = None

    async def begin(self) -> None:
        """A new session; raises SourceFault."""
        self._asleep, self._busy = False, 0
        self.limitation = await self._doorbell.open()
        self._works = self.limitation is None

    async def after(self, rows: int, full: bool, begun: float, beat: Callable[[], None]) -> None:
        """Wait after a read that began at ``begun`` and found ``rows``; raises SourceFault."""
        if not self._works:
            await self._poll_later(rows, full, begun, beat)
        elif rows:
            await self._breathe()
        elif not self._asleep:
            self._doorbell.rung.clear()
            await self._doorbell.sleep(self._poll.longest)
            self._asleep, self._busy = True, 0
        else:
            await self._listen(beat)

    async def _breathe(self) -> None:
        """Rows come: look again at once, and stop asking for a bell that would ring at every commit."""
        self._asleep = False
        self._busy += 1
        if self._busy == BUSY_READS:
            await self._doorbell.wake()
        await wait_for(self._ownership.changed, BREATH_SECONDS)

    async def _listen(self, beat: Callable[[], None]) -> None:
        await self._doorbell.sleep(self._poll.longest)
        longest = self._poll.longest * (0.9 + 0.1 * self._clock.chance())
        await self._ownership.wait_for_any(self._doorbell.rung, longest, beat)
        self._doorbell.rung.clear()

    async def _poll_later(self, rows: int, full: bool, begun: float, beat: Callable[[], None]) -> None:
        self._pause = pause_after(self._poll, rows, full, self._pause, self._clock.chance())
        await wait_for(self._ownership.changed, begun + self._pause - self._clock.monotonic(), beat)
