"""Backlog and lag of each relay in the last hour: a ring of a fixed number of points, in the leader's memory only.

Two arrays of 240 floats a relay: 500 relays take one megabyte, whatever happens.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from outboxrelay.controller.relay_metrics import RelayNumbers
from outboxrelay.decisions.blindness import Key

POINTS = 240
PERIOD_SECONDS = 15.0
MINUTES = round(POINTS * PERIOD_SECONDS / 60)
UNKNOWN = -1.0
Numbers = Callable[[], Iterable[tuple[Key, RelayNumbers]]]


@dataclass(frozen=True, slots=True)
class Series:
    """One relay, the oldest point first, a point each 15 s; UNKNOWN where nothing was known."""

    backlog: "array[float]"
    """Rows."""
    lag: "array[float]"
    """Seconds."""


class History:
    """Rings by relay; all are written at the same place at the same time."""

    def __init__(self, points: int = POINTS) -> None:
        self._points = points
        self._next = 0
        self._rings: dict[Key, Series] = {}

    def record(self, numbers: Iterable[tuple[Key, RelayNumbers]]) -> None:
        """One more point of each relay; those that are not named are gone."""
        at, known = self._next, dict(numbers)
        for key in self._rings.keys() - known.keys():
            del self._rings[key]
        for key, item in known.items():
            ring = self._rings.get(key)
            if ring is None:
                ring = self._rings[key] = Series(self._empty(), self._empty())
            ring.backlog[at] = UNKNOWN if item.backlog_rows is None else item.backlog_rows
            ring.lag[at] = UNKNOWN if item.lag_seconds is None else item.lag_seconds
        self._next = (at + 1) % self._points

    def of(self, key: Key) -> Series:
        """The relay's points; what is older than the relay, or than this leader, is unknown."""
        ring = self._rings.get(key)
        if ring is None:
            return Series(self._empty(), self._empty())
        return Series(self._ordered(ring.backlog), self._ordered(ring.lag))

    def __len__(self) -> int:
        """Relays that it holds points of."""
        return len(self._rings)

    async def follow(self, numbers: Numbers) -> None:
        """Record until cancelled."""
        while True:
            self.record(numbers())
            await asyncio.sleep(PERIOD_SECONDS)

    def _empty(self) -> "array[float]":
        return array("f", [UNKNOWN]) * self._points

    def _ordered(self, ring: "array[float]") -> "array[float]":
        return ring[self._next :] + ring[: self._next]
