"""Taking part: a member slot, a heartbeat that shows all locks, and shards taken and given back by fair share."""

import asyncio
from collections.abc import Callable

import structlog

from outboxrelay.api.names import Reason
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.sharding import MEMBER_BASE, Holding, free_member, plan
from outboxrelay.errors import SourceFault
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, ControlSession
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
ANSWER_SECONDS = 5.0
TRIES = 20


class Membership:
    """One session's part in the relay."""

    def __init__(
        self, control: ControlSession, ownership: Ownership, spec: OutboxRelaySpec, beats: Beats, clock: Clock
    ) -> None:
        self._control = control
        self._ownership = ownership
        self._taking = spec.state == "Running"
        self._sharing = spec.ordering.mode == "None"
        self._beats = beats
        self._clock = clock
        self.member: int | None = None
        self.joined_at: float | None = None
        """Monotonic time at which this session, or the one that was lost, became a member; None where none did."""

    async def join(self) -> int:
        """Open the session and take the first free member slot; its number. Raises SourceFault."""
        self.joined_at = None
        await self._control.open()
        tried: set[int] = set()
        for _ in range(TRIES):
            at = self._clock.monotonic()
            holding = await self._control.observe()
            number = free_member(holding.members, tried)
            if number is None:
                break
            if await self._control.try_lock([MEMBER_BASE + number]):
                self.member, self.joined_at = number, at
                self._ownership.live = frozenset({*holding.members, number})
                self._ownership.confirm(at, len(holding.members) + 1)
                log.info("member_joined", member=number, members=self._ownership.members)
                return number
            tried.add(number)
        raise SourceFault(Reason.CONNECT_FAILED, "no free member slot: too many processes run this relay")

    async def run(self, left: asyncio.Event) -> None:
        """Heartbeat until ``left`` is set; raises SourceFault the moment that the session is not certain."""
        with self._beats.watch("membership") as beat:
            while not left.is_set():
                await self.turn()
                beat()
                await self._sleep(left, beat)

    async def turn(self) -> None:
        """One heartbeat and what follows from it."""
        at = self._clock.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                holding = await self._control.observe()
        except TimeoutError:
            raise SourceFault(Reason.TIMEOUT, "the control session did not answer in time") from None
        self._ownership.live = frozenset(holding.members)
        self._ownership.confirm(at, len(holding.members))
        await self._unlock_drained()
        await self._follow(holding)

    async def leave(self) -> None:
        """Give everything back and end the session."""
        self._ownership.lose()
        self.member = None
        await self._control.close()

    async def _sleep(self, left: asyncio.Event, beat: Callable[[], None]) -> None:
        """A second, cut short by what drains."""
        self._ownership.drained.clear()
        if self._ownership.draining:
            if not self._ownership.is_drained:
                await wait_for(self._ownership.drained, HEARTBEAT_SECONDS, beat)
        else:
            await wait_for(left, HEARTBEAT_SECONDS, beat)

    async def _follow(self, holding: Holding) -> None:
        if self.member is None or self._ownership.draining:
            return
        if self._sharing:
            # Every member reads every shard; the locks of the rows keep them apart.
            if self._taking and not self._ownership.owned:
                self._ownership.gain(frozenset(range(self._ownership.total)))
            return
        owned = self._ownership.owned
        steps = plan(self._ownership.total, holding, self.member, owned, self._taking)
        if steps.release:
            self._ownership.drain(frozenset(steps.release))
            log.info("shards_draining", shards=list(steps.release), reason=steps.reason)
            await self._unlock_drained()
        if steps.acquire:
            taken = await self._control.try_lock(steps.acquire)
            self._ownership.gain(taken)
            if taken:
                log.info("shards_taken", shards=sorted(taken), owned=len(self._ownership.owned), reason=steps.reason)

    async def _unlock_drained(self) -> None:
        draining = self._ownership.draining
        if draining and self._ownership.is_drained:
            await self._control.unlock(draining)
            self._ownership.released()
            log.info("shards_released", shards=sorted(draining))
