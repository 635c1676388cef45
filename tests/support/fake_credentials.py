"""Credentials of one side in memory: what the files hold, what is in use, and what works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from outboxrelay.api.names import Reason
from outboxrelay.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeCredentials:
    """Satisfies Renewal. Set ``files`` to change them; values in ``bad`` do not work."""

    def __init__(self, values: str = "first", delay: float = 0.05) -> None:
        self.files = values
        self.using: str | None = values
        self.bad: dict[str, Fault] = {}
        self.stuck: Fault | None = None
        """Why what was prepared cannot take over."""
        self.doubted = asyncio.Event()
        self.place: str | None = "here"
        self.tried: list[tuple[float, str]] = []
        """Time and values of each attempt."""
        self.switched: list[tuple[float, str]] = []
        self.dropped = 0
        self.on_switch: Callable[[], None] = _nothing
        self._delay = delay
        self._prepared: str | None = None

    def in_use(self) -> str | None:
        """As Renewal says."""
        return self.using

    def on_file(self) -> str:
        """As Renewal says."""
        return self.files

    async def prepare(self) -> str:
        """As Renewal says."""
        values = self.files
        self.tried.append((asyncio.get_running_loop().time(), values))
        await asyncio.sleep(self._delay)
        if values in self.bad:
            raise self.bad[values]
        self._prepared = values
        return values

    async def switch(self) -> None:
        """As Renewal says."""
        values, self._prepared = self._prepared, None
        if values is None:
            raise Fault(Reason.CONNECT_FAILED, "nothing was prepared")
        self.on_switch()
        await asyncio.sleep(self._delay)
        if self.stuck:
            raise self.stuck
        self.using = values
        self.switched.append((asyncio.get_running_loop().time(), values))

    async def drop(self) -> None:
        """As Renewal says."""
        self.dropped += 1
        self._prepared = None


def _nothing() -> None:
    """What happens at a switch unless a test says otherwise."""
