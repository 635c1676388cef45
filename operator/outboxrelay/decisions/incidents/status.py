"""Incidents as status.incidents says them, and back."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from outboxrelay.api.incidents import MAX_INCIDENTS, IncidentStatus
from outboxrelay.decisions.incidents.reduce import Incident

STAMP = "%Y-%m-%dT%H:%M:%SZ"
PAGE = "{page}"
"""Stands for the name of a page in the address of runbooks."""


def stamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds."""
    return moment.strftime(STAMP)


def moment(text: str) -> datetime:
    """The time that ``text`` names; raises ValueError."""
    return datetime.strptime(text, STAMP).replace(tzinfo=UTC)


def runbook_of(base: str, kind: str) -> str:
    """Where the page of a type is: PAGE in ``base`` stands for its name, and without it the name and .md follow."""
    return base.replace(PAGE, kind) if PAGE in base else f"{base.rstrip('/')}/{kind}.md"


def as_status(items: Iterable[Incident], runbooks: str) -> list[IncidentStatus]:
    """Open ones first, the newest of each first."""
    ordered = sorted(items, key=lambda item: (item.open, item.resolved_at or item.detected_at, item.id), reverse=True)
    return [
        IncidentStatus(
            id=item.id,
            type=item.type,
            scope=item.scope,
            severity="Critical" if item.severity == "Critical" else "Warning",
            state="Open" if item.open else "Resolved",
            started_at=stamp(item.started_at),
            detected_at=stamp(item.detected_at),
            resolved_at=stamp(item.resolved_at) if item.resolved_at else None,
            occurrences=item.occurrences,
            reason=item.reason,
            message=item.message,
            parent=item.parent,
            runbook=runbook_of(runbooks, item.type),
        )
        for item in ordered[:MAX_INCIDENTS]
    ]


def parse_incidents(items: object) -> list[IncidentStatus]:
    """The incidents in a live status; what cannot be read, or another version wrote differently, is left out."""
    found = []
    known = {info.alias or name for name, info in IncidentStatus.model_fields.items()}
    for item in items if isinstance(items, list) else []:
        parsed = _parsed({key: item[key] for key in known & item.keys()}) if isinstance(item, dict) else None
        if parsed is not None:
            found.append(parsed)
    return found[:MAX_INCIDENTS]


def _parsed(item: dict[str, Any]) -> IncidentStatus | None:
    try:
        return IncidentStatus.model_validate(item)
    except ValidationError:
        return None


def from_status(items: Iterable[IncidentStatus]) -> tuple[Incident, ...]:
    """The incidents that a status tells of: a new leader goes on from them. One whose times make no sense is left."""
    found: dict[str, Incident] = {}
    for item in items:
        try:
            times = [moment(text) for text in (item.started_at, item.detected_at)]
            resolved = moment(item.resolved_at) if item.state == "Resolved" and item.resolved_at else None
        except ValueError:
            continue
        if item.state == "Resolved" and resolved is None:
            continue
        incident = Incident(
            id=item.id,
            type=item.type,
            scope=item.scope,
            severity=item.severity,
            started_at=times[0],
            detected_at=times[1],
            reason=item.reason,
            message=item.message,
            resolved_at=resolved,
            occurrences=item.occurrences,
            parent=item.parent,
        )
        if not any(other.mark == incident.mark and other.open and incident.open for other in found.values()):
            found.setdefault(incident.id, incident)
    return tuple(found.values())
