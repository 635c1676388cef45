"""The machine's clock and dice: nothing else in the relay reads them."""

import random
import time
from datetime import UTC, datetime


class SystemClock:
    """Time and chance as they are."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is where the clock is read

    def chance(self) -> float:
        """A random number from 0 to 1."""
        return random.random()
