"""Incidents that many relays share: whoever loses the same database or brokers at the same time has one parent.

The parent is what is told to people: once when the first relay loses it, once when the last one has it back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.incidents.kinds import kind_of
from outboxrelay.decisions.incidents.reduce import AGAIN_SECONDS, Incident, incident_id

TOGETHER_SECONDS = 30.0
"""Who loses it within this time of the last one that did belongs to them."""

Member = tuple[Key, str]
"""A relay and the id of its own incident."""


@dataclass(frozen=True, slots=True)
class Parent:
    """One fault of a database or of brokers."""

    incident: Incident
    """With the parent's own id; its message is the first relay's."""
    joined_at: datetime
    """When the newest member lost it."""
    members: frozenset[Member] = field(default_factory=frozenset)
    """Relays that lack it now."""
    affected: frozenset[Key] = field(default_factory=frozenset)
    """Relays that lacked it since it was opened."""

    def relays(self) -> tuple[Key, ...]:
        """Who is told to have it: while it is open whoever lacks it now, then whoever did."""
        return tuple(sorted({key for key, _ in self.members} if self.incident.open else self.affected))


@dataclass(frozen=True, slots=True)
class Parents:
    """Open ones and those that ended within ten minutes, by id."""

    by_id: Mapping[str, Parent] = field(default_factory=dict)


def is_shared(incident: Incident) -> bool:
    """Whether the incident is the fault of something that other relays may use too."""
    kind = kind_of(incident.type)
    return kind is not None and kind.shared and bool(incident.scope)


def join(before: Parents, key: Key, incident: Incident, now: datetime) -> tuple[Parents, Parent, bool]:
    """The parent of an incident that was just opened, and whether it is new: opened, or opened again."""
    start = _start(incident, now)
    found = _match(before, incident, now)
    if found is None:
        own = replace(
            incident,
            id=incident_id(incident.type, "shared", incident.scope, start),
            parent=None,
            occurrences=1,
            resolved_at=None,
        )
        found, new = Parent(own, start), True
    else:
        new = not found.incident.open
    head, affected = found.incident, found.affected
    if not head.open:
        head = replace(head, resolved_at=None, occurrences=head.occurrences + 1, message=incident.message)
        affected = frozenset()
    joined = Parent(head, max(found.joined_at, start), found.members | {(key, incident.id)}, affected | {key})
    return _with(before, joined, now), joined, new


def leave(before: Parents, key: Key, incident: Incident, now: datetime) -> tuple[Parents, Parent | None]:
    """The parent that an incident which was just closed leaves behind; it ends with its last member."""
    found = before.by_id.get(incident.parent or "")
    if found is None or (key, incident.id) not in found.members:
        return before, None
    rest = found.members - {(key, incident.id)}
    head = found.incident if rest else replace(found.incident, resolved_at=incident.resolved_at or now)
    left = replace(found, incident=head, members=rest)
    return _with(before, left, now), left


def adopt(before: Parents, key: Key, items: Iterable[Incident], now: datetime) -> Parents:
    """The parents that open incidents of a relay tell of: a new leader finds them in the status of the children."""
    for item in items:
        if not item.open or item.parent is None:
            continue
        found = before.by_id.get(item.parent)
        own = found.incident if found else replace(item, id=item.parent, parent=None)
        if item.started_at < own.started_at:
            own = replace(own, started_at=item.started_at, detected_at=item.detected_at, message=item.message)
        members = found.members if found else frozenset[Member]()
        joined_at = max(found.joined_at, item.started_at) if found else item.started_at
        affected = (found.affected if found else frozenset[Key]()) | {key}
        before = _with(before, Parent(own, joined_at, members | {(key, item.id)}, affected), now)
    return before


def _match(before: Parents, incident: Incident, now: datetime) -> Parent | None:
    """The parent that the incident belongs to: its own former one, or one of the same hosts at the same time."""
    hosts = set(incident.scope.split(","))
    for parent in before.by_id.values():
        head = parent.incident
        if head.type != incident.type or not hosts.intersection(head.scope.split(",")):
            continue
        if head.resolved_at is not None:
            if (now - head.resolved_at).total_seconds() <= AGAIN_SECONDS and incident.parent == head.id:
                return parent
        elif incident.parent == head.id or _together(parent, _start(incident, now)):
            return parent
    return None


def _start(incident: Incident, now: datetime) -> datetime:
    """When this occurrence began, as far as that is known."""
    return now if incident.occurrences > 1 else incident.started_at


def _together(parent: Parent, start: datetime) -> bool:
    return abs((start - parent.joined_at).total_seconds()) <= TOGETHER_SECONDS


def _with(before: Parents, parent: Parent, now: datetime) -> Parents:
    kept = {
        name: item
        for name, item in before.by_id.items()
        if item.incident.resolved_at is None or (now - item.incident.resolved_at).total_seconds() <= AGAIN_SECONDS
    }
    return Parents({**kept, parent.incident.id: parent})
