"""Looks at a relay one after the other, and what becomes of its incidents."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from outboxrelay.api.incidents import IncidentType
from outboxrelay.decisions.incidents.detect import Observation, Signal
from outboxrelay.decisions.incidents.reduce import Change, Incidents, reduce

START = datetime(2026, 1, 1, tzinfo=UTC)
BROKER = Signal(IncidentType.BROKER_UNAVAILABLE, "BrokerUnavailable", "no answer", "kafka:9092")
POISON = Signal(IncidentType.POISON_ROWS, "PoisonRows", "1 rows are in quarantine")
LAG = Signal(IncidentType.LAG_OBJECTIVE_MISSED, "ObjectiveMissed", "45 s")
STALL = Signal(IncidentType.NO_PROGRESS, "NoProgress", "rows wait")
CRASH = Signal(IncidentType.RELAY_CRASH_LOOPING, "CrashLooping", "ends")


class Story:
    """Looks one after the other, and what came of them."""

    def __init__(self) -> None:
        self.incidents = Incidents()
        self.at = 100.0
        self.changes: list[tuple[Change, datetime]] = []

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.at)

    def look(
        self, *signals: Signal, after: float = 5.0, unknown: Sequence[str] = (), explained: bool = False
    ) -> tuple[Change, ...]:
        self.at += after
        observation = Observation(self.at, signals, frozenset(unknown), explained)
        self.incidents, changes = reduce(self.incidents, observation, self.now, owner="uid", tick=4.0)
        self.changes += [(change, self.now) for change in changes]
        return changes

    def looks(self, count: int, *signals: Signal, **how: object) -> None:
        for _ in range(count):
            self.look(*signals, **how)  # type: ignore[arg-type]

    def told(self) -> list[str]:
        return ["opened" if change.opened else "closed" for change, _ in self.changes]
