"""The life of incidents of one relay: (incidents, observation, now) → (incidents', what opened and what closed).

A fault that is seen in two looks is opened; one that is gone for three is closed. A look that comes sooner than a tick
after the one before does not count, and one answer of a database, of brokers or of a pod counts once. What comes back
within ten minutes is the same incident once more, and must stay away longer each time.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from outboxrelay.api.incidents import MAX_INCIDENT_MESSAGE
from outboxrelay.decisions.incidents.detect import Observation, Signal
from outboxrelay.decisions.incidents.kinds import KINDS, close_ticks, kind_of

AGAIN_SECONDS = 600.0
"""What comes back within this time of its end is the same incident."""
AFTERMATH_SECONDS = 60.0
"""Rows that waited for a cause are given this long after its end, before their lag counts as a fault of its own."""
KEPT_RESOLVED = 5
KEPT_SECONDS = 86_400.0

Mark = tuple[str, str]
"""Type and scope."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A fault with its start, its detection and its end."""

    id: str
    type: str
    scope: str
    severity: str
    started_at: datetime
    detected_at: datetime
    reason: str
    message: str
    resolved_at: datetime | None = None
    occurrences: int = 1
    parent: str | None = None

    @property
    def open(self) -> bool:
        """Whether the fault is there."""
        return self.resolved_at is None

    @property
    def mark(self) -> Mark:
        """Type and scope."""
        return self.type, self.scope


@dataclass(frozen=True, slots=True)
class Streak:
    """Looks in a row that saw the same."""

    ticks: int
    since: datetime
    at: float
    """Monotonic time of the last one that counted."""

    def after(self, at: float, tick: float) -> "Streak":
        """The streak after one more look."""
        return replace(self, ticks=self.ticks + 1, at=at) if at - self.at >= tick else self


@dataclass(frozen=True, slots=True)
class Incidents:
    """Everything that is remembered of one relay's incidents."""

    items: tuple[Incident, ...] = ()
    """Open ones, and those resolved lately."""
    bad: Mapping[Mark, Streak] = field(default_factory=dict)
    """Faults that are not opened yet."""
    good: Mapping[Mark, Streak] = field(default_factory=dict)
    """Open ones whose fault is not seen any more."""

    def open(self) -> tuple[Incident, ...]:
        """Those whose fault is there."""
        return tuple(item for item in self.items if item.open)


@dataclass(frozen=True, slots=True)
class Change:
    """An incident that was opened (``incident.open``) or closed."""

    incident: Incident

    @property
    def opened(self) -> bool:
        """Whether it was opened, for the first time or again."""
        return self.incident.open


def reduce(
    before: Incidents, observation: Observation, now: datetime, *, owner: str, tick: float
) -> tuple[Incidents, tuple[Change, ...]]:
    """The incidents after one more look; ``owner`` (the relay's uid) goes into ids, ``tick`` is in seconds."""
    signals = _counted(before, observation, now)
    held = _held(before, observation, signals)
    items = {item.mark: item for item in before.open()}
    ended = [item for item in before.items if not item.open]
    bad: dict[Mark, Streak] = {mark: streak for mark, streak in before.bad.items() if mark[0] in held}
    good: dict[Mark, Streak] = {}
    changes: list[Change] = []
    for mark, signal in signals.items():
        if mark in items:
            items[mark] = _retold(items[mark], signal)
            continue
        at = observation.at if signal.seen_at is None else signal.seen_at
        streak = before.bad.get(mark)
        streak = streak.after(at, tick) if streak else Streak(1, now, at)
        if streak.ticks < KINDS[signal.type].open_ticks:
            bad[mark] = streak
            continue
        old = _recent(ended, mark, streak.since)
        items[mark] = _again(old, signal) if old else _new(signal, streak.since, now, owner)
        ended = [item for item in ended if item is not old]
        changes.append(Change(items[mark]))
    for mark, item in list(items.items()):
        if mark in signals:
            continue
        if item.type in held:
            if mark in before.good:
                good[mark] = before.good[mark]
            continue
        streak = before.good.get(mark)
        streak = streak.after(observation.at, tick) if streak else Streak(1, now, observation.at)
        if streak.ticks < close_ticks(item.type, item.occurrences):
            good[mark] = streak
            continue
        closed = replace(items.pop(mark), resolved_at=max(streak.since, item.started_at))
        ended.append(closed)
        changes.append(Change(closed))
    return Incidents((*items.values(), *_kept(ended, now)), bad, good), tuple(changes)


def ended(before: Incidents, now: datetime) -> tuple[Incidents, tuple[Change, ...]]:
    """Everything closed: the relay is gone."""
    closed = [replace(item, resolved_at=max(now, item.started_at)) for item in before.open()]
    return Incidents(), tuple(Change(item) for item in closed)


def _counted(before: Incidents, observation: Observation, now: datetime) -> dict[Mark, Signal]:
    """The signals by mark, without symptoms that something else explains."""
    explained = observation.explained or _aftermath(before, {item.mark for item in observation.signals}, now)
    return {item.mark: item for item in observation.signals if not (explained and KINDS[item.type].symptom)}


def _held(before: Incidents, observation: Observation, signals: Mapping[Mark, Signal]) -> frozenset[str]:
    """Types about which this look says nothing."""
    hidden = {str(item.type) for item in observation.signals if item.mark not in signals}
    foreign = {item.type for item in before.items if kind_of(item.type) is None}
    # What another version of the operator opened is closed like anything else that is not seen any more.
    return (observation.unknown | hidden) - foreign


def _aftermath(before: Incidents, seen: Collection[Mark], now: datetime) -> bool:
    """Whether a cause is not ``seen`` any more and about to close, from the first such look on, or was just closed."""
    for item in before.items:
        kind = kind_of(item.type)
        if kind is None or not kind.explains:
            continue
        closing = item.open and item.mark not in seen
        if closing or (item.resolved_at and (now - item.resolved_at).total_seconds() < AFTERMATH_SECONDS):
            return True
    return False


def _retold(item: Incident, signal: Signal) -> Incident:
    """The open incident; its text follows the reason only, or numbers in it would be written again and again."""
    if item.reason == signal.reason:
        return item
    return replace(item, reason=signal.reason, message=signal.message[:MAX_INCIDENT_MESSAGE])


def _recent(ended_ones: Iterable[Incident], mark: Mark, since: datetime) -> Incident | None:
    for item in ended_ones:
        if item.mark == mark and item.resolved_at and (since - item.resolved_at).total_seconds() <= AGAIN_SECONDS:
            return item
    return None


def _again(old: Incident, signal: Signal) -> Incident:
    message = signal.message[:MAX_INCIDENT_MESSAGE]
    return replace(old, resolved_at=None, occurrences=old.occurrences + 1, reason=signal.reason, message=message)


def _new(signal: Signal, since: datetime, now: datetime, owner: str) -> Incident:
    return Incident(
        id=incident_id(signal.type, owner, signal.scope, since),
        type=str(signal.type),
        scope=signal.scope,
        severity=str(KINDS[signal.type].severity),
        started_at=since,
        detected_at=max(now, since),
        reason=signal.reason,
        message=signal.message[:MAX_INCIDENT_MESSAGE],
    )


def incident_id(kind: str, owner: str, scope: str, since: datetime) -> str:
    """A name that tells the type and differs from every other incident's."""
    text = f"{kind}|{owner}|{scope}|{since.isoformat()}"
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _kept(items: list[Incident], now: datetime) -> list[Incident]:
    """The few that ended last."""
    lately = [item for item in items if item.resolved_at and (now - item.resolved_at).total_seconds() <= KEPT_SECONDS]
    newest = sorted(lately, key=lambda item: (item.resolved_at or now, item.id), reverse=True)
    return newest[:KEPT_RESOLVED]
