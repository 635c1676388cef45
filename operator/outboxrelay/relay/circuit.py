"""The circuit to the brokers: open while they take nothing, tried again after a wait that grows and is jittered."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import structlog

from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import TargetFault
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ports import Clock, Publisher
from outboxrelay.relay.waiting import wait_for

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0


class Circuit:
    """Whether rows may be sent."""

    def __init__(
        self, publisher: Publisher, policy: BackoffPolicy, health: HealthTracker, metrics: Metrics, clock: Clock
    ) -> None:
        self._publisher = publisher
        self._policy = policy
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._failures = 0
        self._wait = 0.0
        self._checked_at = 0.0
        self.state: Literal["Closed", "Open"] = "Open"
        self.retry_at: datetime | None = None
        self.verified = False
        """Whether the topic was found and usable at least once in this process's life."""

    async def restore(self, stop: asyncio.Event, beat: Callable[[], None]) -> bool:
        """Return when rows may be sent; False when the process is to stop instead."""
        while self.state == "Open" and not stop.is_set():
            if self._wait and await wait_for(stop, self._wait, beat):
                return False
            beat()
            try:
                await self._publisher.open()
            except TargetFault as fault:
                await self.trip(fault)
                continue
            self._close()
        return not stop.is_set()

    async def trip(self, fault: TargetFault) -> None:
        """The brokers took nothing: drop the producer, and wait."""
        self._failures += 1
        self._wait = backoff(self._policy, self._failures, self._clock.chance())
        self.retry_at = self._clock.now() + timedelta(seconds=self._wait)
        self.state = "Open"
        self._health.bad(fault)
        self._metrics.circuit_opened(fault.reason)
        log.warning(
            "circuit_open",
            reason=str(fault.reason),
            message=fault.message,
            failures=self._failures,
            retry_in_seconds=round(self._wait, 3),
        )
        await self._publisher.discard()

    def delivered(self) -> None:
        """Something arrived, or all had: the next failure waits as little as the first."""
        if self._failures:
            log.info("delivery_recovered", after_failures=self._failures)
        self._failures = 0
        self._health.good()

    async def check(self, *, idle: bool) -> None:
        """Between batches, see now and then whether the brokers are still there; ``idle``: nothing is pending."""
        now = self._clock.monotonic()
        if self.state == "Open" or now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        fault = await self._publisher.check()
        if fault is not None:
            await self.trip(fault)
        elif idle:
            self.delivered()

    async def reset(self) -> None:
        """Drop the producer with what is in flight, for a reason that is not the brokers'."""
        self.state, self._wait = "Open", 0.0
        await self._publisher.discard()

    def _close(self) -> None:
        self.state, self.retry_at, self._wait = "Closed", None, 0.0
        self.verified = True
        # After a failed delivery only a delivery proves that it works again.
        if not self._failures or self._health.current.healthy is None:
            self._health.good()
        self._metrics.circuit_closed()
        log.info("circuit_closed")
