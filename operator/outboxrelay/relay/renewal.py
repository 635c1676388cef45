"""Credentials whose files change while the relay runs: tried beside those in use, put in their place between batches.

What is in use stays until something better is proven, so a wrong new password is told at once and costs nothing. The
two sides know nothing of each other: whichever changed is renewed.
"""

import asyncio
from collections.abc import Mapping
from typing import Literal

import structlog

from outboxrelay.decisions.renewal import LOOK_SECONDS, Watched, decide, looked, over, prepared, refused, trying
from outboxrelay.errors import Fault
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.ports import Clock, Renewal
from outboxrelay.relay.waiting import wait_for_any

log = structlog.get_logger(__name__)

Side = Literal["source", "target"]
PLACES: Mapping[Side, str] = {"source": "spec.source.database", "target": "spec.target"}


class SideRenewal:
    """One side."""

    def __init__(self, side: Side, port: Renewal, ownership: Ownership, metrics: Metrics, clock: Clock) -> None:
        self._side = side
        self._port = port
        self._ownership = ownership
        self._metrics = metrics
        self._clock = clock
        self._watched = Watched()
        self._busy = False
        self.notice: str | None = None
        """What is wrong with what the files hold, as a sentence; None while it is in use."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look at the files until ``stop`` is set. Raises only bugs."""
        while not stop.is_set():
            await self.turn()
            await wait_for_any((stop, self._port.doubted), LOOK_SECONDS)

    async def turn(self) -> None:
        """One look at the files, and what follows from it."""
        doubted = self._port.doubted.is_set()
        self._port.doubted.clear()
        if self._busy:
            return
        self._watched = looked(self._watched, self._port.on_file())
        in_use = self._port.in_use()
        if self._watched.seen == in_use:
            self.notice = None
        step = decide(self._watched, in_use, self._clock.monotonic(), doubted=doubted)
        if step.action not in ("Try", "Drop"):
            return
        self._busy = True
        try:
            await (self._try(step.reason) if step.action == "Try" else self._drop())
        finally:
            self._busy = False

    @property
    def is_ready(self) -> bool:
        """Whether ``switch`` should be called."""
        return self._watched.ready is not None and not self._busy

    async def switch(self) -> bool:
        """Nothing is on its way: use what is ready. Whether that worked."""
        self._busy, begun = True, self._clock.monotonic()
        try:
            await self._port.switch()
        except Fault as fault:
            self._failed(self._watched.ready or "", fault, "the change to what they hold now failed")
            return False
        else:
            self._watched = over(self._watched)
            self._metrics.reloaded(self._side, "Switched")
            log.info("credentials_switched", side=self._side, seconds=round(self._clock.monotonic() - begun, 3))
            return True
        finally:
            self._busy = False

    async def _try(self, reason: str) -> None:
        log.info("credentials_changed", side=self._side, reason=reason)
        seen, self._watched = self._watched.seen or "", trying(self._watched)
        try:
            fingerprint = await self._port.prepare()
        except Fault as fault:
            self._failed(seen, fault, "what they hold now does not work")
        else:
            self._watched, self.notice = prepared(self._watched, fingerprint), None
            # Whoever waits for rows need not wait any longer.
            self._ownership.changed.set()

    async def _drop(self) -> None:
        self._watched = over(self._watched)
        await self._port.drop()

    def _failed(self, fingerprint: str, fault: Fault, what: str) -> None:
        now = self._clock.monotonic()
        self._watched = refused(self._watched, fingerprint, now, self._clock.chance())
        self.notice = (
            f"the Secrets of {PLACES[self._side]} changed, and {what}: {fault.message}; the relay goes on with what "
            "they held before, so correct them or change them back"
        )
        self._metrics.reloaded(self._side, "Refused")
        log.warning(
            "credentials_refused",
            side=self._side,
            reason=str(fault.reason),
            message=fault.message,
            failures=self._watched.failures,
            retry_in_seconds=round(self._watched.retry_at - now, 3),
        )


class Renewals:
    """Both sides."""

    def __init__(self, source: Renewal, target: Renewal, ownership: Ownership, metrics: Metrics, clock: Clock) -> None:
        self._source = source
        self._sides: dict[Side, SideRenewal] = {
            "source": SideRenewal("source", source, ownership, metrics, clock),
            "target": SideRenewal("target", target, ownership, metrics, clock),
        }
        self._place: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; a side that does not answer does not keep the other waiting. Raises only bugs."""
        async with asyncio.TaskGroup() as group:
            for name, side in self._sides.items():
                group.create_task(side.run(stop), name=f"credentials of {name}")

    @property
    def are_ready(self) -> bool:
        """Whether the pump should come to a rest and call ``switch``."""
        return any(side.is_ready for side in self._sides.values())

    async def switch(self) -> frozenset[Side]:
        """Nothing is on its way: use what is ready. The sides that changed."""
        ready = [name for name, side in self._sides.items() if side.is_ready]
        return frozenset([name for name in ready if await self._sides[name].switch()])

    def moved(self) -> bool:
        """Whether the database is another one than when this was last asked."""
        before, now = self._place, self._source.place
        self._place = now if now is not None else before
        return before is not None and before != self._place

    def notices(self) -> list[str]:
        """What somebody should do about the Secrets."""
        return [side.notice for side in self._sides.values() if side.notice is not None]
