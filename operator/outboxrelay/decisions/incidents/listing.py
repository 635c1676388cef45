"""The incidents of many relays as one list, worst first: what relays share is one group."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outboxrelay.api.incidents import IncidentStatus
from outboxrelay.decisions.bodies import mapping
from outboxrelay.decisions.incidents.status import moment, parse_incidents


@dataclass(frozen=True, slots=True)
class Found:
    """An incident and the relay that has it."""

    namespace: str
    relay: str
    incident: IncidentStatus


@dataclass(frozen=True, slots=True)
class Group:
    """One fault: an incident of one relay, or those of all relays that share it."""

    found: tuple[Found, ...]

    @property
    def first(self) -> Found:
        """The one that began first."""
        return min(self.found, key=lambda item: (item.incident.started_at, item.namespace, item.relay))

    def seconds(self, now: datetime) -> float | None:
        """How long the first one lasts, or lasted; None where its times make no sense."""
        start, end = _time(self.first.incident.started_at), _time(self.first.incident.resolved_at) or now
        return (end - start).total_seconds() if start else None


def collect(bodies: Iterable[Mapping[str, Any]], *, resolved_too: bool) -> list[Found]:
    """The incidents of relays, the worst first."""
    found = [
        Found(body["metadata"]["namespace"], body["metadata"]["name"], item)
        for body in bodies
        for item in parse_incidents(mapping(body.get("status")).get("incidents"))
        if resolved_too or item.state == "Open"
    ]
    return worst_first(found)


def worst_first(found: Iterable[Found]) -> list[Found]:
    """Open ones before resolved ones, critical ones first, then the newest."""
    by_name = sorted(found, key=lambda item: (item.namespace, item.relay, item.incident.id))
    newest = sorted(by_name, key=lambda item: item.incident.resolved_at or item.incident.started_at, reverse=True)
    return sorted(newest, key=lambda item: (item.incident.state != "Open", item.incident.severity != "Critical"))


def grouped(found: Sequence[Found]) -> list[Group]:
    """Those with one parent together, in the order of ``found``; open and resolved ones apart."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for item in found:
        place = (item.incident.parent or f"{item.namespace}/{item.relay}/{item.incident.id}", item.incident.state)
        groups.setdefault(place, []).append(item)
    return [Group(tuple(items)) for items in groups.values()]


def _time(text: str | None) -> datetime | None:
    try:
        return moment(text) if text else None
    except ValueError:
        return None
