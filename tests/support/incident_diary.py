"""What a namespace's OutboxRelays say of their incidents, moment by moment, as anybody sees it who watches them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.api.names import API_VERSION, PLURAL

from .kubectl import Kubectl
from .watching import watching


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
    async with watching(kubectl, API_VERSION, PLURAL, found.note):
        yield found
