"""How the pump rests between reads: not at all while much comes, until the doorbell rings, or until a poll is due.

With a doorbell the relay is in one of two states. *Asleep* it asks every writer to ring, and reads when one does.
*Awake* it asks nobody, and looks at the table every few milliseconds. Writers that ring at the same time wait for
each other's flush. So a relay that is rung too often, or finds more than it can take at once, stays awake, until
nothing came for a while; what writers pay is bounded in rings per second, however many commit.

Nothing is missed on falling asleep. A writer that inserted before it could see that somebody sleeps shares a lock
until its transaction is over. The relay has asked all writers when it has all of those locks; what was committed until
then is found by the read that follows (Asked.NOW), and what is committed later rings. While it lacks a lock, because
a transaction stays open, polls go on, every tenth of a second at least (Asked.SOME). A relay that asked all along and
read nothing needs no second read (Asked.BEFORE).

Polls go on while it sleeps too, up to maxPoll apart. They find what cannot ring: rows put directly into a partition,
rows that became visible later than their commit, and those of a moment in which this process relied on the locks of
another one that died.
"""

from collections.abc import Callable

import structlog

from outboxrelay.api.source import Read
from outboxrelay.decisions.polling import BREATH_SECONDS, PollPolicy, breath_after, pause_after
from outboxrelay.decisions.waking import QUIET_SECONDS, Asked, Rings
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, Doorbell
from outboxrelay.relay.waiting import wait_for, wait_for_any

log = structlog.get_logger(__name__)

CONTESTED_SECONDS = 0.1
"""The longest pause while some writers could not be asked to ring."""
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
        shortest, longest = read.min_poll_milliseconds / 1000, read.max_poll_milliseconds / 1000
        self._idle = PollPolicy(shortest, longest)
        self._contested = PollPolicy(shortest, min(longest, max(shortest, CONTESTED_SECONDS)))
        self._awake_policy = PollPolicy(BREATH_SECONDS, max(BREATH_SECONDS, shortest))
        self._clock = clock
        self._pause = 0.0
        self._works = self._awake = False
        self._look_at = self._deaf_until = self._found_at = 0.0
        self._rings, self._heard = Rings(), 0
        self._vain = 0
        self._rang = False
        self.limitation: str | None = None
        """Why there is no doorbell, and what to do; None where it works."""

    @property
    def is_short(self) -> bool:
        """Whether a read that found rows is followed by another within milliseconds."""
        return self._works and self._clock.monotonic() >= self._deaf_until

    async def begin(self) -> None:
        """A new session."""
        self._pause, self._vain, self._rang, self._awake = 0.0, 0, False, False
        self._deaf_until = 0.0
        await self._look()

    async def busy(self) -> None:
        """A read found more than it takes, and the next one follows at once."""
        self._found()
        await self._stay_awake()

    async def after(self, rows: int, begun: float, beat: Callable[[], None]) -> None:
        """Wait after a read that began at ``begun`` and found ``rows``, fewer than it asked for."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            await self._look()
        if rows:
            self._found()
        if not self.is_short:
            await self._poll_later(rows, begun, beat)
        elif rows:
            await self._breathe(begun)
        elif self._awake and now - self._found_at < QUIET_SECONDS:
            self._pause = pause_after(self._awake_policy, 0, False, self._pause, self._clock.chance())
            await wait_for(self._ownership.changed, self._pause)
        else:
            await self._fall_asleep(begun, beat)

    def _found(self) -> None:
        # What rings from here on is for rows that the next read finds, or for ones that it comes before.
        self._doorbell.rung.clear()
        self._found_at, self._vain, self._rang = self._clock.monotonic(), 0, False

    async def _breathe(self, begun: float) -> None:
        """A moment, in which more rows may come to go out together."""
        now = self._clock.monotonic()
        self._rings, self._heard = self._rings.add(self._doorbell.rings - self._heard, now), self._doorbell.rings
        if self._rings.is_full:
            await self._stay_awake()
        if self._awake:
            self._pause = BREATH_SECONDS
        await wait_for(self._ownership.changed, breath_after(now - begun))

    async def _fall_asleep(self, begun: float, beat: Callable[[], None]) -> None:
        self._awake = False
        self._vain = self._vain + 1 if self._rang else 0
        self._rang = False
        if self._vain == 1:
            # Rows are there that cannot be read yet, as with visibility Settled: polls look after them soon.
            self._pause = 0.0
        if self._vain > VAIN_RINGS:
            self._deaf_until, self._vain = self._clock.monotonic() + DEAF_SECONDS, 0
            await self._wake()
            await self._poll_later(0, begun, beat)
            return
        asked = await self._sleep()
        if asked is Asked.NOW:
            # Once more before the wait.
            self._pause = 0.0
            self._doorbell.rung.clear()
        else:
            await self._listen(self._idle if asked is Asked.BEFORE else self._contested, beat)

    async def _listen(self, policy: PollPolicy, beat: Callable[[], None]) -> None:
        """The bell is not silenced before the wait: it may have rung since the read."""
        self._pause = pause_after(policy, 0, False, self._pause, self._clock.chance())
        await wait_for_any((self._ownership.changed, self._doorbell.rung), self._pause, beat)
        self._rang = self._doorbell.rung.is_set()
        self._doorbell.rung.clear()

    async def _poll_later(self, rows: int, begun: float, beat: Callable[[], None]) -> None:
        self._pause = pause_after(self._idle, rows, False, self._pause, self._clock.chance())
        await wait_for(self._ownership.changed, begun + self._pause - self._clock.monotonic(), beat)

    async def _look(self) -> None:
        self._look_at = self._clock.monotonic() + LOOK_SECONDS
        try:
            self.limitation = await self._doorbell.open()
        except SourceFault as fault:
            self._failed(fault)
        else:
            self._works = self.limitation is None

    async def _sleep(self) -> Asked:
        try:
            return await self._doorbell.sleep()
        except SourceFault as fault:
            self._failed(fault)
            return Asked.SOME

    async def _stay_awake(self) -> None:
        if self._works and not self._awake:
            self._awake = True
            await self._wake()

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
