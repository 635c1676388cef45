"""One relay in detail: how it is, its last hour, incidents, conditions, pods, and how its number of pods came about."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.status import ConditionStatus
from outboxrelay.controller.console.curves import curve
from outboxrelay.controller.console.fleet_page import FEW_ROWS
from outboxrelay.controller.console.history import MINUTES, UNKNOWN
from outboxrelay.controller.console.knowledge import Knowledge
from outboxrelay.controller.relays import Body, key_of
from outboxrelay.decisions.bodies import mapping
from outboxrelay.decisions.chains import chains
from outboxrelay.decisions.explanation import explained
from outboxrelay.decisions.facts import PodFacts, PodReport
from outboxrelay.decisions.fleet import ASKED_FOR
from outboxrelay.decisions.incidents.listing import Found, Group
from outboxrelay.decisions.incidents.status import parse_incidents
from outboxrelay.decisions.summary import parse_conditions

WIDTH, HEIGHT, COLUMNS = 480, 96, 240
MOST_PODS = 100
QUIET = frozenset({Condition.SCALING_ACTIVE})
"""Conditions that are no fault where they are False: somebody else decides, or nothing is to be decided."""
PLAIN = ASKED_FOR | {Reason.IDLE}
TURNED = frozenset({Condition.QUARANTINED})
"""Conditions that are bad where they are True."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What Kubernetes says of a pod, and what it says of itself."""

    facts: PodFacts
    report: PodReport | None
    age: float
    """Seconds since it said so."""

    @property
    def mark(self) -> str:
        """Its sign."""
        if self.facts.problem is not None:
            return "failing"
        if not self.facts.ready:
            return "late"
        return "unknown" if self.report is None else "well"


def context(body: Body, knowledge: Knowledge, now: datetime) -> dict[str, Any]:
    """What the template shows."""
    key, status = key_of(body), mapping(body.get("status"))
    row, series = knowledge.row(body), knowledge.history.of(key)
    size = {"width": WIDTH, "height": HEIGHT, "columns": COLUMNS}
    held = mapping(status.get("held"))
    pods = _pods(knowledge, key)
    return {
        "row": row,
        "backlog": curve(series.backlog, **size, least_top=FEW_ROWS),
        "lag": curve(series.lag, **size, least_top=1, limit=row.objective),
        "least": {"lag": _least(series.lag), "backlog": _least(series.backlog)},
        "size": (WIDTH, HEIGHT),
        "minutes": MINUTES,
        "incidents": [
            (item, Group((Found(*key, item),)).seconds(now)) for item in parse_incidents(status.get("incidents"))
        ],
        "conditions": [(item, _mark(item)) for item in parse_conditions(status.get("conditions"))],
        "pods": pods[:MOST_PODS],
        "pods_left_out": max(0, len(pods) - MOST_PODS),
        "explained": explained(body),
        "held": _texts(held.get("examples")),
        "limitations": _texts(status.get("limitations")),
        "notices": _texts(status.get("notices")),
        "chains": [
            chain
            for chain in chains((item for item in knowledge.bodies() if key_of(item)[0] == key[0]), knowledge.row)
            if key[1] in (member.name for member in chain.members)
        ],
    }


def _least(points: Iterable[float]) -> float:
    return min((point for point in points if point != UNKNOWN), default=UNKNOWN)


def _pods(knowledge: Knowledge, key: tuple[str, str]) -> list[Pod]:
    reports, now = knowledge.reports(key), knowledge.clock.monotonic()
    found = [(facts, reports.get(facts.name)) for facts in knowledge.pods(key)]
    return [Pod(facts, report, now - report.at if report else 0.0) for facts, report in found]


def _mark(condition: ConditionStatus) -> str:
    if condition.status == "Unknown":
        return "unknown"
    if (condition.status == "True") is not (condition.type in TURNED):
        return "well"
    if condition.type in QUIET or condition.reason in PLAIN:
        return "note"
    return "late" if condition.type in (Condition.QUARANTINED, Condition.ROLLED_OUT) else "failing"


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
