"""A clock that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class MovedClock:
    """Satisfies the Clock ports."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds

    def now(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self.seconds)

    def chance(self) -> float:
        """Always the middle."""
        return 0.5


class LoopClock(MovedClock):
    """The loop's virtual time, and what the process stood still for beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.stood = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time() + self.stood
