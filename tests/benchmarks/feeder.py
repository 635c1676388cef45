"""Keeps a backlog as large as it is, while a relay takes from it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks import backlog

if TYPE_CHECKING:
    from tests.benchmarks.arrivals import Arrivals

FEED_ROWS = 1000


class Feeder:
    """Inserts as many rows as have arrived."""

    def __init__(self, session: Any, arrivals: Arrivals) -> None:
        self._session = session
        self._arrivals = arrivals
        self._fed = 0

    async def rate(self, warm_up: float, seconds: float) -> float:
        """Arrivals per second over ``seconds``, after ``warm_up`` seconds of the same."""
        await self._feed(warm_up)
        before, began = self._arrivals.count(), time.perf_counter()
        await self._feed(seconds)
        return (self._arrivals.count() - before) / (time.perf_counter() - began)

    async def _feed(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            lacking = self._arrivals.count() - self._fed
            for _ in range(lacking // FEED_ROWS):
                await self._session.execute(backlog.INSERT, FEED_ROWS)
                self._fed += FEED_ROWS
            await asyncio.sleep(0.005)
