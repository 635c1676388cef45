"""How late the operator comes to its own work."""

import asyncio
from collections.abc import Callable

from outboxrelay.controller.clock import Clock
from outboxrelay.decisions.attention import was_away

PERIOD_SECONDS = 0.1
TOLERATED_SECONDS = 0.05
"""What a loop with much to do may be late each time without anybody noticing."""


class Lateness:
    """Measures how late a task comes that wants to run ten times a second.

    It is late where there is more to do than the processor can, and where the process stands still: throttled by a
    limit, stopped, on a machine that sleeps.
    """

    def __init__(self, clock: Clock, count: Callable[[float], object]) -> None:
        self._clock = clock
        self._count = count
        """Told how many seconds come on top."""
        self.seconds = 0.0
        """All seconds so far; only grows."""

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock.monotonic() + PERIOD_SECONDS
            await asyncio.sleep(PERIOD_SECONDS)
            late = max(0.0, self._clock.monotonic() - due - TOLERATED_SECONDS)
            self.seconds += late
            self._count(late)

    def since(self) -> Callable[[], bool]:
        """Begin to wait for an answer; what is given tells later whether one may have come unnoticed."""
        began, late = self._clock.monotonic(), self.seconds
        return lambda: was_away(self.seconds - late, self._clock.monotonic() - began)
