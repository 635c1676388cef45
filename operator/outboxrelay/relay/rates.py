"""What a process did in about the last ten seconds: rows per second, shares of time, slow reads."""

import math
from collections import deque

WINDOW_SECONDS = 10.0
SLOW_SHARE = 0.95


class Rates:
    """Spans and samples of the last seconds."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._batches: deque[tuple[float, int]] = deque()
        self._reads: deque[tuple[float, float]] = deque()
        self._rests: deque[tuple[float, float]] = deque()
        self._full: deque[tuple[float, float]] = deque()

    def confirmed(self, ended: float, rows: int) -> None:
        """A batch of ``rows`` was confirmed at ``ended``."""
        self._batches.append((ended, rows))

    def read(self, ended: float, seconds: float) -> None:
        """A read ended, that took ``seconds``."""
        self._reads.append((ended, seconds))

    def rested(self, begun: float, ended: float) -> None:
        """Nothing was to be done from ``begun`` to ``ended``."""
        self._rests.append((begun, ended))

    def full(self, begun: float, ended: float) -> None:
        """From ``begun`` to ``ended`` it was known that more rows waited than one read takes."""
        self._full.append((begun, ended))

    def rows_per_second(self, now: float) -> float:
        """Mean over the window."""
        _forget(self._batches, now)
        return sum(rows for _, rows in self._batches) / self._span(now)

    def busy_share(self, now: float, resting_since: float | None) -> float:
        """Share of the window in which it did not rest; ``resting_since`` is when the current rest began."""
        return 1.0 - self._share(self._rests, now, resting_since)

    def full_share(self, now: float, full_since: float | None) -> float:
        """Share of the window in which more waited than one read takes; ``full_since``: it does since then."""
        return self._share(self._full, now, full_since)

    def slow_read_seconds(self, now: float) -> float | None:
        """95th percentile of the reads of the window."""
        _forget(self._reads, now)
        if not self._reads:
            return None
        ordered = sorted(seconds for _, seconds in self._reads)
        return ordered[math.ceil(SLOW_SHARE * len(ordered)) - 1]

    def _share(self, spans: deque[tuple[float, float]], now: float, open_since: float | None) -> float:
        while spans and spans[0][1] < now - WINDOW_SECONDS:
            spans.popleft()
        edge = now - self._span(now)
        total = sum(max(0.0, ended - max(begun, edge)) for begun, ended in spans)
        if open_since is not None:
            total += now - max(open_since, edge)
        return min(1.0, total / self._span(now))

    def _span(self, now: float) -> float:
        return max(1.0, min(WINDOW_SECONDS, now - self._started))


def _forget(samples: deque[tuple[float, int]] | deque[tuple[float, float]], now: float) -> None:
    while samples and samples[0][0] < now - WINDOW_SECONDS:
        samples.popleft()
