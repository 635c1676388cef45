"""How many pods a relay has and why, moment by moment: what its Deployment asks for, and what its status says of it."""

import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from outboxrelay.api.names import API_VERSION, PLURAL

from .line import Line
from .watching import watching

SENTENCE = re.compile(
    r"(?P<before>\d+) to (?P<after>\d+) pods: (?P<why>.+) \(\d+ rows wait, \d+ rows/s arrive, \d+ are delivered, "
    r"\d+ are needed, one pod delivers \d+\)"
)
"""What the Event of a step says."""


class Told(NamedTuple):
    """A moment in which something else was said than before; ``at``: monotonic seconds."""

    at: float
    reason: str
    text: str


@dataclass
class ScalingDiary:
    """Of one relay."""

    relay: str
    child: str
    """Its Deployment."""
    began: float = field(default_factory=time.monotonic)
    asked: list[tuple[float, int]] = field(default_factory=list)
    """Pods that the Deployment asked for, and since when."""
    ready: list[tuple[float, int]] = field(default_factory=list)
    """Pods that were ready, and since when."""
    conditions: list[Told] = field(default_factory=list)
    """Condition ScalingActive, each time that its status or reason changed; the text is the first of these."""
    steps: list[Told] = field(default_factory=list)
    """status.scaling.lastStep."""
    status: dict[str, Any] = field(default_factory=dict)
    """As it was last seen."""

    def note_deployment(self, body: dict[str, Any], now: float) -> None:
        """Take one state of a Deployment."""
        if body["metadata"]["name"] == self.child:
            _follow(self.asked, now, body["spec"]["replicas"])
            _follow(self.ready, now, body.get("status", {}).get("readyReplicas", 0))

    def note_relay(self, body: dict[str, Any], now: float) -> None:
        """Take one state of an OutboxRelay."""
        if body["metadata"]["name"] != self.relay:
            return
        self.status = body.get("status", {})
        for item in self.status.get("conditions", []):
            reason = f"{item['status']} {item['reason']}"
            if item["type"] == "ScalingActive" and self.why != reason:
                self.conditions.append(Told(now, reason, item["message"]))
        step = self.status.get("scaling", {}).get("lastStep")
        if step is not None and (not self.steps or self.steps[-1].text != step["message"]):
            self.steps.append(Told(now, step["reason"], step["message"]))

    @property
    def why(self) -> str:
        """Status and reason of ScalingActive as they were last seen."""
        return self.conditions[-1].reason if self.conditions else ""

    @property
    def pods(self) -> list[int]:
        """The numbers of pods that were asked for, one after the other."""
        return [number for _, number in self.asked]

    def table(self) -> str:
        """What happened, and after how many seconds."""
        lines = [f"pods asked for: {self._course(self.asked)}", f"pods ready:     {self._course(self.ready)}"]
        told = sorted([*self.conditions, *self.steps])
        return "\n".join(lines + [f"{at - self.began:6.0f} s  {reason:<22} {text}" for at, reason, text in told])

    def _course(self, numbers: Sequence[tuple[float, int]]) -> str:
        return ", ".join(f"{number} ({at - self.began:.0f} s)" for at, number in numbers)


def _follow(numbers: list[tuple[float, int]], now: float, number: int) -> None:
    if not numbers or numbers[-1][1] != number:
        numbers.append((now, number))


@asynccontextmanager
async def scaling_diary(line: Line) -> AsyncIterator[ScalingDiary]:
    """A diary that is written while the block runs; seconds count from its beginning."""
    found = ScalingDiary(line.name, line.child)
    async with (
        watching(line.kubectl, "apps/v1", "deployments", found.note_deployment),
        watching(line.kubectl, API_VERSION, PLURAL, found.note_relay),
    ):
        yield found
