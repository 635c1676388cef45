"""Proof of progress: every loop beats at each turn and in each wait; one that is silent for long fails /livez."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from outboxrelay.relay.ports import Clock

STUCK_SECONDS = 60.0
WAIT_SLICE_SECONDS = 5.0
"""Waits are cut into slices that beat."""


class Beats:
    """The loops that run now, and when each last beat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    @contextmanager
    def watch(self, loop: str) -> Iterator[Callable[[], None]]:
        """Expect beats of ``loop`` inside the block, by calling what is yielded."""

        def beat() -> None:
            self._last[loop] = self._clock.monotonic()

        beat()
        try:
            yield beat
        finally:
            self._last.pop(loop, None)

    def stuck(self) -> list[str]:
        """Loops that have not beaten for too long."""
        now = self._clock.monotonic()
        return sorted(loop for loop, last in self._last.items() if now - last > STUCK_SECONDS)
