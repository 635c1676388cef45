"""What a namespace's OutboxRelays say of their incidents, moment by moment, as anybody sees it who watches them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.api.names import API_VERSION, PLURAL

from .kubectl import Kubectl

MOST_BYTES = 16 * 2**20


@dataclass
class Life:
    """One incident of one relay."""

    relay: str
    id: str
    type: str
    opened: list[float] = field(default_factory=list)
    """Monotonic seconds of each time it was first seen open."""
    resolved: list[float] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    """As it was last seen."""

    @property
    def open(self) -> bool:
        """Whether it is open."""
        return len(self.opened) > len(self.resolved)


class Diary:
    """Every incident that was ever seen."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, str], Life] = {}
        """By relay and id."""
        self.updates = 0
        """How often any of the relays changed."""

    def note(self, relay: dict[str, Any], now: float) -> None:
        """Take one state of a relay."""
        self.updates += 1
        name = relay["metadata"]["name"]
        for item in relay.get("status", {}).get("incidents", []):
            life = self.lives.setdefault((name, item["id"]), Life(name, item["id"], item["type"]))
            life.body = item
            if (item["state"] == "Open") != life.open:
                (life.resolved if life.open else life.opened).append(now)

    def of(self, kind: str, relay: str | None = None) -> list[Life]:
        """The incidents of a type, of one relay or of all."""
        return [life for life in self.lives.values() if life.type == kind and relay in (None, life.relay)]

    def open(self) -> list[Life]:
        """Those that are open."""
        return [life for life in self.lives.values() if life.open]


@asynccontextmanager
async def diary(kubectl: Kubectl) -> AsyncIterator[Diary]:
    """A diary that is written while the block runs."""
    found = Diary()
    path = f"/apis/{API_VERSION}/namespaces/{kubectl.namespace}/{PLURAL}?watch=1&timeoutSeconds=3600"
    command = [part for part in kubectl.command("get", "--raw", path) if not part.startswith("--request-timeout")]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=MOST_BYTES)
    writer = asyncio.create_task(_write(found, process), name="diary")
    try:
        yield found
        assert not writer.done(), "the watch of the diary ended"
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _write(found: Diary, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        event = json.loads(line)
        if event["type"] in ("ADDED", "MODIFIED"):
            found.note(event["object"], time.monotonic())
