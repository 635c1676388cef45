"""Leading by a Lease: two replicas run, one works. Losing the Lease ends the work before anybody else may begin it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from outboxrelay.controller.clock import Clock
from outboxrelay.decisions.leadership import (
    DURATION_SECONDS,
    RENEW_DEADLINE_SECONDS,
    RETRY_SECONDS,
    LeaseRecord,
    Sighting,
    Step,
    must_stop,
    next_step,
    sighted,
)
from outboxrelay.errors import ClusterFault

log = structlog.get_logger(__name__)

RELEASED_SECONDS = 1
"""A released Lease says that it lasts this long: whoever looks next takes it."""


class LeaseStore(Protocol):
    """One Lease."""

    async def read(self) -> LeaseRecord | None:
        """What it says; None where there is none."""

    async def write(
        self, holder: str, duration: int, transitions: int, before: LeaseRecord | None
    ) -> LeaseRecord | None:
        """The Lease as written over ``before``; None where somebody else wrote first."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """Whoever led before and did not give the Lease up in order."""

    holder: str
    silent: float
    """Seconds for which nothing was heard of it."""


class LeadershipLost(RuntimeError):
    """Somebody else leads, or nobody can tell."""


class Leader:
    """One candidate."""

    def __init__(self, lease: LeaseStore, identity: str, *, clock: Clock, saw: Callable[[str], None]) -> None:
        self._lease = lease
        self._me = identity
        self._clock = clock
        self._saw = saw
        """Told at each look at the Lease who holds it; empty where nobody does."""
        self._sighting: Sighting | None = None
        self._renewed_at = float("-inf")
        self.predecessor: Predecessor | None = None
        """Set where this candidate leads because another failed."""

    async def acquire(self) -> None:
        """Wait until this candidate leads."""
        while True:
            if await self.attempt():
                log.info("leading", identity=self._me)
                return
            await asyncio.sleep(RETRY_SECONDS * (0.9 + 0.2 * self._clock.chance()))

    async def keep(self) -> None:
        """Renew until cancelled; raises LeadershipLost."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            held = await self._bounded_attempt()
            if must_stop(self._renewed_at, self._clock.monotonic()):
                raise LeadershipLost("the Lease could not be renewed for 10 s")
            if not held and self._taken():
                raise LeadershipLost(f"{self._sighting.record.holder if self._sighting else 'somebody'} leads now")

    async def attempt(self) -> bool:
        """Look at the Lease once and do what is to be done; whether this candidate leads."""
        try:
            record = await self._lease.read()
            self._saw(record.holder if record else "")
            self._sighting = sighted(self._sighting, record, self._clock.monotonic())
            return await self._act(record)
        except ClusterFault as fault:
            log.warning("lease_failed", message=str(fault))
            return False

    async def release(self, failure: str = "") -> None:
        """Give the Lease up, so that the other candidate need not wait; ``failure`` tells it why, if it must know."""
        sighting = self._sighting
        if sighting is None or sighting.record.holder != self._me:
            return
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                holder = f"{self._me} ({failure})" if failure else ""
                await self._lease.write(holder, RELEASED_SECONDS, sighting.record.transitions, sighting.record)
        except (ClusterFault, TimeoutError) as fault:
            log.warning("lease_not_released", message=str(fault))
            return
        log.info("lease_released", identity=self._me)

    async def _bounded_attempt(self) -> bool:
        try:
            left = self._renewed_at + RENEW_DEADLINE_SECONDS - self._clock.monotonic()
            async with asyncio.timeout(max(0.1, left)):
                return await self.attempt()
        except TimeoutError:
            return False

    def _taken(self) -> bool:
        return self._sighting is not None and self._sighting.record.holder not in ("", self._me)

    async def _act(self, record: LeaseRecord | None) -> bool:
        # The moment before the write counts: the others count from when they see it.
        now = self._clock.monotonic()
        step = next_step(self._sighting, self._me, now)
        if step is Step.WAIT:
            return False
        transitions = 0 if record is None else record.transitions + (step is Step.TAKE)
        written = await self._lease.write(self._me, DURATION_SECONDS, transitions, record)
        if written is None:
            return False
        first = self._renewed_at == float("-inf")
        if first and record is not None and record.holder and self._sighting is not None:
            # Where it is our own name, the process before this one ended without releasing.
            self.predecessor = Predecessor(record.holder, now - self._sighting.at)
        self._sighting = Sighting(written, now)
        self._renewed_at = now
        return True
