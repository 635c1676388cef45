"""What is told of an incident outside the cluster, as a CloudEvent and as an alert of Alertmanager's v2 API."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outboxrelay.api.names import API_VERSION, PLURAL
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.incidents.kinds import kind_of
from outboxrelay.decisions.incidents.reduce import Incident
from outboxrelay.decisions.incidents.status import runbook_of, stamp

EVENT_TYPE = "dev.outboxrelay.incident"
NAMED_RELAYS = 20
"""Relays that a notification names at most; it always says how many there are."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One incident as it is told: a relay's own, or the parent of many."""

    incident: Incident
    relays: tuple[Key, ...]
    """Who has it, in order; empty for an incident of the operator itself."""
    runbook: str

    @property
    def id(self) -> str:
        """The incident's."""
        return self.incident.id

    @property
    def state(self) -> str:
        """opened or resolved."""
        return "opened" if self.incident.open else "resolved"


def notice_of(incident: Incident, relays: tuple[Key, ...], runbooks: str) -> Notice:
    """The notice of an incident."""
    return Notice(incident, tuple(sorted(relays)), runbook_of(runbooks, incident.type))


def summary(notice: Notice) -> str:
    """One line: which relays, and what is wrong."""
    kind = kind_of(notice.incident.type)
    title = kind.title if kind else notice.incident.type
    if not notice.relays:
        return title
    names = "/".join(notice.relays[0]) if len(notice.relays) == 1 else f"{len(notice.relays)} relays"
    return f"{names}: {title}"


def cloud_event(notice: Notice, operator: str) -> dict[str, Any]:
    """A CloudEvent 1.0 in JSON; ``operator`` names the sender. Told twice it has the same id, so it can be dropped."""
    incident = notice.incident
    when = incident.resolved_at or incident.detected_at
    data: dict[str, Any] = {
        "id": incident.id,
        "type": incident.type,
        "severity": incident.severity,
        "state": "Open" if incident.open else "Resolved",
        "summary": summary(notice),
        "reason": incident.reason,
        "message": incident.message,
        "scope": incident.scope,
        "startedAt": stamp(incident.started_at),
        "detectedAt": stamp(incident.detected_at),
        "occurrences": incident.occurrences,
        "relayCount": len(notice.relays),
        "relays": [{"namespace": key[0], "name": key[1]} for key in notice.relays[:NAMED_RELAYS]],
        "runbook": notice.runbook,
    }
    if incident.resolved_at is not None:
        data["resolvedAt"] = stamp(incident.resolved_at)
    return {
        "specversion": "1.0",
        "id": f"{incident.id}.{incident.occurrences}.{notice.state}",
        "source": _source(notice, operator),
        "type": f"{EVENT_TYPE}.{notice.state}",
        "subject": incident.id,
        "time": stamp(when),
        "datacontenttype": "application/json",
        "data": data,
    }


def alert(notice: Notice, now: datetime, lasts: timedelta) -> dict[str, Any]:
    """An alert for POST /api/v2/alerts. An open one ends by itself after ``lasts`` unless it is sent again.

    Labels name the incident and do not change while it lasts; what changes is in the annotations.
    """
    incident = notice.incident
    labels = {
        "alertname": f"OutboxRelay{incident.type}",
        "severity": incident.severity.lower(),
        "type": incident.type,
        "incident": incident.id,
    }
    if incident.scope:
        labels["scope"] = incident.scope
    elif len(notice.relays) == 1:
        labels["namespace"], labels["outboxrelay"] = notice.relays[0]
    names = ", ".join("/".join(key) for key in notice.relays[:NAMED_RELAYS])
    more = len(notice.relays) - NAMED_RELAYS
    annotations = {
        "summary": summary(notice),
        "description": f"{incident.reason}: {incident.message}",
        "runbook_url": notice.runbook,
        "occurrences": str(incident.occurrences),
    }
    if names:
        annotations["relays"] = names + (f" and {more} more" if more > 0 else "")
    ends = incident.resolved_at or now + lasts
    return {
        "labels": labels,
        "annotations": annotations,
        # Alertmanager refuses an alert that ends before it starts.
        "startsAt": stamp(incident.started_at),
        "endsAt": stamp(max(ends, incident.started_at + timedelta(seconds=1))),
    }


def _source(notice: Notice, operator: str) -> str:
    if len(notice.relays) == 1 and not notice.incident.scope:
        namespace, name = notice.relays[0]
        return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}"
    return f"/outbox-relay-operator/{operator}"
