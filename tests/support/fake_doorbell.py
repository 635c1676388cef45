"""A doorbell in memory: satisfies Doorbell. ``ring`` rings it where somebody asked to be woken."""

import asyncio


class FakeDoorbell:
    """Set ``limitation`` for a database without the trigger."""

    def __init__(self, limitation: str | None = None) -> None:
        self.rung = asyncio.Event()
        self.limitation = limitation
        self.asleep_until: float | None = None
        self.writes = 0

    async def open(self) -> str | None:
        """As Doorbell says."""
        await asyncio.sleep(0.001)
        return self.limitation

    async def sleep(self, seconds: float) -> None:
        """As Doorbell says."""
        now = asyncio.get_running_loop().time()
        if self.asleep_until is None or self.asleep_until < now + seconds:
            self.writes += 1
            self.asleep_until = now + 2 * seconds

    async def wake(self) -> None:
        """As Doorbell says."""
        self.asleep_until = None

    def ring(self) -> None:
        """What the trigger does at a commit."""
        if self.asleep_until is not None and self.asleep_until > asyncio.get_running_loop().time():
            self.rung.set()
