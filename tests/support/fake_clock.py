"""Time of the test's virtual loop; chance is always the same."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Satisfies the relay's Clock."""

    def __init__(self, chance: float = 0.5) -> None:
        self._chance = chance

    def monotonic(self) -> float:
        """Seconds of the running loop."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """START and what has passed on the loop."""
        return START + timedelta(seconds=self.monotonic())

    def chance(self) -> float:
        """The same each time."""
        return self._chance
