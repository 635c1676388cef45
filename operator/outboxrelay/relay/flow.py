"""How fast this process sends: limits of the spec, a ramp after an outage, half speed while brokers are strained."""

import asyncio
from collections.abc import Callable

from outboxrelay.api.policy import Flow as Limits
from outboxrelay.api.report import FlowState
from outboxrelay.decisions.flow import (
    SLICE_SECONDS,
    Allowed,
    Bucket,
    Pace,
    Ramp,
    after_batch,
    allowed,
    bucket,
    filled,
    going,
    outage,
    strain,
    taken,
    wait_of,
)
from outboxrelay.decisions.strain import Latency, noticed, observed, reconnected, signs
from outboxrelay.relay.ports import Clock
from outboxrelay.relay.waiting import wait_for

SLICE_OF_WAIT_SECONDS = 0.5
"""A wait is looked at again after so long: the rate may have changed."""
PATIENCE_SECONDS = 2.0
"""A batch that must wait for longer goes back to the table, so that its shards may move and its keys be held."""
SIZE_SHARE = 0.2
"""Weight of a new batch in the average size of a row."""


class Flow:
    """Asked before a batch is read and before it is sent, told what became of it."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._limit = None if limits.max_rows_per_second is None else float(limits.max_rows_per_second)
        self._ramp = Ramp(limits.recovery_start_percent / 100, float(limits.recovery_ramp_seconds))
        self._pace = Pace()
        self._latency = Latency()
        self._rows: Bucket | None = None
        most_bytes = limits.max_bytes_per_second
        self._bytes = None if most_bytes is None else bucket(float(most_bytes), clock.monotonic())
        self._row_bytes: float | None = None

    def most_rows(self) -> int | None:
        """Rows of a batch that is worth reading now; None: any number."""
        rates = [rate for rate in (self._allowed().rate, self._byte_rate()) if rate is not None]
        return max(1, int(min(rates) * SLICE_SECONDS)) if rates else None

    async def admit(self, rows: int, size: int, stop: asyncio.Event, beat: Callable[[], None]) -> bool:
        """Whether a batch of ``rows`` with ``size`` bytes may be sent; waits a while until it may.

        False when the process is to stop, and where the batch would have to wait for long: read it again then.
        """
        if not rows:
            return True
        begun = self._clock.monotonic()
        self._pace = going(self._pace, self._ramp, begun)
        before = self._row_bytes or size / rows
        self._row_bytes = before + SIZE_SHARE * (size / rows - before)
        while (wait := self._wait(rows, size)) > 0:
            left = begun + PATIENCE_SECONDS - self._clock.monotonic()
            if left <= 0 or await wait_for(stop, min(wait, left, SLICE_OF_WAIT_SECONDS), beat):
                return False
        self._rows = taken(self._rows, rows) if self._rows else None
        self._bytes = taken(self._bytes, size) if self._bytes else None
        return True

    def confirmed(self, rows: int, size: int, seconds: float) -> None:
        """A whole batch was confirmed ``seconds`` after it was sent."""
        now = self._clock.monotonic()
        self._pace = after_batch(self._pace, rows, seconds, now)
        if rows:
            self._latency = observed(self._latency, rows, size, seconds, now)
            if why := signs(self._latency, now):
                self._latency = noticed(self._latency)
                self._pace = strain(self._pace, now, why, self._allowed().rate)

    def throttled(self, milliseconds: float) -> None:
        """The brokers held answers back for so long."""
        why = f"the brokers throttled by {milliseconds:.0f} ms"
        self._pace = strain(self._pace, self._clock.monotonic(), why, self._allowed().rate)

    def outage(self) -> None:
        """Nothing can be delivered."""
        self._pace = outage(self._pace)
        self._latency = reconnected(self._latency)

    def report(self) -> FlowState:
        """For /state."""
        now = self._allowed()
        if now.rate is None and self._bytes is not None:
            now = Allowed(None, "Limited", "spec.flow.maxBytesPerSecond")
        rate = None if now.rate is None else round(now.rate, 1)
        return FlowState(state=now.state, rows_per_second=rate, reason=now.reason)

    def _allowed(self) -> Allowed:
        return allowed(self._pace, self._ramp, self._clock.monotonic(), self._limit)

    def _byte_rate(self) -> float | None:
        return self._bytes.rate / max(1.0, self._row_bytes or 0.0) if self._bytes else None

    def _wait(self, rows: int, size: int) -> float:
        now, rate = self._clock.monotonic(), self._allowed().rate
        if rate is None:
            self._rows = None
        else:
            self._rows = filled(self._rows, now, rate) if self._rows else bucket(rate, now)
        self._bytes = filled(self._bytes, now) if self._bytes else None
        waits = [wait_of(self._rows, rows)] if self._rows else []
        waits += [wait_of(self._bytes, size)] if self._bytes else []
        return max(waits, default=0.0)
