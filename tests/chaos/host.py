"""One machine of a relay: its wire, and the relay process that runs there now."""

from __future__ import annotations

import asyncio
import itertools
import signal
from typing import TYPE_CHECKING, Any, Self

from tests.support.relay_process import RelayProcess

from .wire import Trouble, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STOP_SECONDS = 40.0
"""More than the grace period of a pod."""


class Host:
    """``async with Host(0, 1, folder, manifest, uri) as host:`` starts the relay; later faults find it by its lock."""

    def __init__(self, job: int, number: int, folder: Path, config: Mapping[str, Any], uri: str) -> None:
        self.name = f"relay-{number}"
        self.lock = asyncio.Lock()
        """Held while the process is killed, frozen or stopped: by one fault at a time."""
        self.ended_by_itself: list[str] = []
        self._wire = Wire(job, number)
        self._folder = folder
        self._config = config
        self._uri = uri
        self._starts = itertools.count(1)
        self._process: RelayProcess | None = None
        self._troubles: list[Trouble] = []

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._wire.__enter__)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await asyncio.to_thread(self._wire.__exit__)

    async def start(self) -> None:
        """A new process, as the kubelet would start one."""
        member = f"{self.name}-{next(self._starts)}"
        self._process = await asyncio.to_thread(
            self._wire.inside, lambda: RelayProcess(self._folder, self._config, self._uri, member)
        )

    async def kill(self) -> None:
        """At once (kill -9)."""
        self.look()
        if self._process is not None and self._process.process.poll() is None:
            self._process.send(signal.SIGKILL)
            await asyncio.to_thread(self._process.process.wait)
        self._process = None

    async def stop(self) -> None:
        """In order (SIGTERM)."""
        self.look()
        if self._process is not None:
            code = await asyncio.to_thread(self._process.stop, STOP_SECONDS)
            # One that has not said a word yet had not begun: Python itself ends it then.
            if code and not (code == -signal.SIGTERM and not self._process.log.read_text()):
                self._note(f"was asked to stop and ended with {code}")
        self._process = None

    def send(self, number: signal.Signals) -> None:
        """A signal, where it still runs."""
        if self._process is not None and self._process.process.poll() is None:
            self._process.send(number)

    def look(self) -> None:
        """Take note of a process that ended though nobody asked it to."""
        if self._process is not None and (code := self._process.process.poll()) is not None:
            self._note(f"ended by itself with {code}")
            self._process = None

    async def state(self) -> dict[str, Any] | None:
        """What /state says, asked from beside it: a cut wire does not matter."""
        return await asyncio.to_thread(self._wire.inside, self._process.state) if self._process else None

    def add(self, trouble: Trouble) -> None:
        """Its network has ``trouble`` from now on."""
        self._troubles.append(trouble)
        self._wire.trouble(*self._troubles)

    def remove(self, trouble: Trouble) -> None:
        """And no more."""
        self._troubles.remove(trouble)
        self._wire.trouble(*self._troubles)

    def _note(self, what: str) -> None:
        if self._process is not None:
            self.ended_by_itself.append(f"{self._process.log.stem} {what}: {self._process.log.read_text()[-1500:]}")
