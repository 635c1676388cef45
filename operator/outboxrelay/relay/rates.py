"""Rows per second and busy share over about the last ten seconds."""

from collections import deque

WINDOW_SECONDS = 10.0


class Rates:
    """Finished batches of the last seconds."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._batches: deque[tuple[float, float, int]] = deque()

    def record(self, begun: float, ended: float, rows: int) -> None:
        """A batch of ``rows`` was on its way from ``begun`` to ``ended``."""
        self._batches.append((begun, ended, rows))
        self._forget(ended)

    def rows_per_second(self, now: float) -> float:
        """Mean over the window."""
        self._forget(now)
        return sum(rows for _, _, rows in self._batches) / self._span(now)

    def busy_share(self, now: float, busy_since: float | None) -> float:
        """Share of the window in which a batch was on its way; ``busy_since`` is when the current one began."""
        self._forget(now)
        edge = now - self._span(now)
        busy = sum(ended - max(begun, edge) for begun, ended, _ in self._batches)
        if busy_since is not None:
            busy += now - max(busy_since, edge)
        return min(1.0, busy / self._span(now))

    def _span(self, now: float) -> float:
        return max(1.0, min(WINDOW_SECONDS, now - self._started))

    def _forget(self, now: float) -> None:
        while self._batches and self._batches[0][1] < now - WINDOW_SECONDS:
            self._batches.popleft()
