"""How fast the writer writes."""

import asyncio
import time


class Pace:
    """Spreads ``per_second`` events over time; None = as fast as it goes."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._next = time.monotonic()

    async def wait(self, events: int) -> None:
        if self._per_second is None:
            return
        now = time.monotonic()
        # What an outage delayed is not caught up at once.
        self._next = max(self._next, now - 1)
        delay = self._next - now
        self._next += events / self._per_second
        if delay > 0:
            await asyncio.sleep(delay)
