"""Time, passed in so that tests move it."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The machine's clock and dice, or a test's."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def now(self) -> datetime:
        """The time of day, UTC."""

    def chance(self) -> float:
        """A random number from 0 to 1."""


def timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
