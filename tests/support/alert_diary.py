"""Which alerts a Prometheus fires, moment by moment, as anybody sees it who asks it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from .prometheus import Prometheus

LOOK_SECONDS = 0.5


@dataclass
class Alarm:
    """One alert of one relay."""

    name: str
    relay: str
    """Empty: of no relay."""
    fired: list[float] = field(default_factory=list)
    """Monotonic seconds of each time it was first seen firing."""
    gone: list[float] = field(default_factory=list)

    @property
    def fires(self) -> bool:
        """Whether it fires."""
        return len(self.fired) > len(self.gone)


class AlertDiary:
    """Every alert that was ever seen firing."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.alarms: dict[tuple[str, str], Alarm] = {}
        """By name and relay."""

    def note(self, alerts: Iterable[dict[str, Any]], now: float) -> None:
        """Take all that fire at one moment; relays of other namespaces are none of ours."""
        labels = [alert["labels"] for alert in alerts]
        ours = [item for item in labels if "relay" not in item or item["namespace"] == self._namespace]
        firing = {(item["alertname"], item.get("relay", "")) for item in ours}
        for place in firing:
            self.alarms.setdefault(place, Alarm(*place))
        for place, alarm in self.alarms.items():
            if (place in firing) != alarm.fires:
                (alarm.gone if alarm.fires else alarm.fired).append(now)

    def fired(self, name: str, relay: str, since: float) -> float | None:
        """When it first fired since then."""
        alarm = self.alarms.get((name, relay))
        return next((at for at in alarm.fired if at >= since), None) if alarm else None

    def gone(self, name: str, relay: str) -> float | None:
        """When it last ended; None where it still fires."""
        alarm = self.alarms.get((name, relay))
        return alarm.gone[-1] if alarm and alarm.gone and not alarm.fires else None


@asynccontextmanager
async def alert_diary(prometheus: Prometheus, namespace: str) -> AsyncIterator[AlertDiary]:
    """A diary of the alerts about a namespace's relays and about the operator, written while the block runs."""
    found = AlertDiary(namespace)

    async def write() -> None:
        while True:
            found.note(await prometheus.alerts(), time.monotonic())
            await asyncio.sleep(LOOK_SECONDS)

    writer = asyncio.create_task(write(), name="alerts")
    try:
        yield found
        assert not writer.done(), f"alerts are not looked at any more: {writer}"
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
