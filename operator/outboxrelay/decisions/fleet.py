"""What a person who watches many relays wants to know of each: from the objects to rows, sorted and chosen.

Objects may have been written by another version of the operator, or by nobody yet: what is missing is None, not 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outboxrelay.api.incidents import IncidentStatus
from outboxrelay.api.names import Condition, Reason
from outboxrelay.decisions.backlog import quantity_display
from outboxrelay.decisions.bodies import mapping
from outboxrelay.decisions.incidents.status import parse_incidents


class Health(StrEnum):
    """What the condition Ready comes to. Off: somebody asked for that, so it is no failure."""

    FAILING = "Failing"
    UNKNOWN = "Unknown"
    OFF = "Off"
    WELL = "Well"


class Sort(StrEnum):
    """By what relays are sorted. Numbers: the largest first. State: the worst first, what is off last."""

    STATE = "state"
    LAG = "lag"
    BACKLOG = "backlog"
    RATE = "rate"
    INCIDENTS = "incidents"
    NAME = "name"


DEFAULT_OBJECTIVE = 30
ASKED_FOR = frozenset({Reason.PAUSED, Reason.STOPPED})


@dataclass(frozen=True, slots=True)
class Row:
    """One relay. Rates are rows per second, all its pods together; lag is in seconds."""

    namespace: str
    name: str
    health: Health
    state: str
    message: str
    lag: int | None
    backlog: int | None
    backlog_exact: bool
    delivered: int | None
    arriving: int | None
    pods: str
    incidents: tuple[IncidentStatus, ...]
    held_keys: int
    quarantined: int
    table: str
    topic: str
    objective: int
    """maxLagSeconds."""

    @property
    def late(self) -> bool:
        """Whether rows wait for longer than they should."""
        return self.lag is not None and self.lag > self.objective

    @property
    def rank(self) -> int:
        """How urgently it needs a look: 0 first."""
        well = 2 if self.late or self.incidents else 3
        return {Health.FAILING: 0, Health.UNKNOWN: 1, Health.OFF: 4, Health.WELL: well}[self.health]

    @property
    def poison(self) -> int:
        """Keys that are held and rows that were moved aside: what waits for a person."""
        return self.held_keys + self.quarantined


@dataclass(frozen=True, slots=True)
class Totals:
    """The fleet in one line. A fault that relays share counts once."""

    relays: int
    failing: int
    unknown: int
    off: int
    incidents: int
    critical: int
    backlog: int
    backlog_exact: bool
    delivered: int
    arriving: int


def row_of(body: Mapping[str, Any]) -> Row:
    """The row of one OutboxRelay."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    backlog = mapping(status.get("backlog"))
    scaling = mapping(status.get("scaling"))
    health, state, message = _ready(status.get("conditions"))
    incidents = tuple(item for item in parse_incidents(status.get("incidents")) if item.state == "Open")
    if health is Health.WELL:
        worst = sorted(incidents, key=lambda item: item.severity != "Critical")
        message = worst[0].message if worst else ""
    return Row(
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        health=health,
        state=state,
        message=printable(message),
        lag=_number(backlog.get("oldestAgeSeconds")),
        backlog=_number(backlog.get("rows")),
        backlog_exact=backlog.get("exact") is not False,
        delivered=_number(backlog.get("deliveredPerSecond")),
        arriving=_number(mapping(scaling.get("lastDecision")).get("arrivingPerSecond")),
        pods=printable(str(scaling.get("summary") or "-")),
        incidents=incidents,
        held_keys=_number(mapping(status.get("held")).get("keys")) or 0,
        quarantined=_number(status.get("quarantinedRows")) or 0,
        table=printable(str(mapping(mapping(spec.get("source")).get("table")).get("name") or "-")),
        topic=printable(str(mapping(spec.get("target")).get("topic") or "-")),
        objective=_number(mapping(spec.get("objectives")).get("maxLagSeconds")) or DEFAULT_OBJECTIVE,
    )


def chosen(rows: Iterable[Row], *, text: str = "", failing: bool = False) -> list[Row]:
    """Rows that hold every word of ``text``; with ``failing`` those that fail, or of which nobody knows."""
    words = text.casefold().split()
    wanted = (Health.FAILING, Health.UNKNOWN)

    def fits(row: Row) -> bool:
        place = f"{row.namespace}/{row.name} {row.state} {row.table} {row.topic}".casefold()
        return (not failing or row.health in wanted) and all(word in place for word in words)

    return [row for row in rows if fits(row)]


def arranged(rows: Iterable[Row], by: Sort, *, reverse: bool = False) -> list[Row]:
    """Rows in order; those that are equal by it, by state, lag and name. What is not known comes last."""
    named = sorted(rows, key=lambda row: (row.name, row.namespace) if by is Sort.NAME else (row.namespace, row.name))
    ordered = named
    if by is not Sort.NAME:
        worst = sorted(named, key=lambda row: (row.rank, -_or_least(row.lag)))
        ordered = sorted(worst, key=lambda row: -_NUMBERS[by](row)) if by in _NUMBERS else worst
    return ordered[::-1] if reverse else ordered


def totals(rows: Sequence[Row]) -> Totals:
    """What the rows sum up to."""
    faults = {
        item.parent or f"{row.namespace}/{row.name}/{item.id}": item.severity for row in rows for item in row.incidents
    }
    health = [row.health for row in rows]
    return Totals(
        relays=len(rows),
        failing=health.count(Health.FAILING),
        unknown=health.count(Health.UNKNOWN),
        off=health.count(Health.OFF),
        incidents=len(faults),
        critical=list(faults.values()).count("Critical"),
        backlog=sum(row.backlog or 0 for row in rows),
        backlog_exact=all(row.backlog_exact and row.backlog is not None for row in rows),
        delivered=sum(row.delivered or 0 for row in rows),
        arriving=sum(row.arriving or 0 for row in rows),
    )


def count_display(number: int | None, *, exact: bool = True) -> str:
    """480, 1.2k; >100k where there are more; "-" where it is not known."""
    if number is None:
        return "-"
    return quantity_display(number) if exact else f">{quantity_display(number)}"


def printable(text: str) -> str:
    """``text`` in one line, without anything that a terminal would obey."""
    plain = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())


_NUMBERS: dict[Sort, Callable[[Row], int]] = {
    Sort.LAG: lambda row: _or_least(row.lag),
    Sort.BACKLOG: lambda row: _or_least(row.backlog),
    Sort.RATE: lambda row: _or_least(row.delivered),
    Sort.INCIDENTS: lambda row: len(row.incidents),
}


def _or_least(number: int | None) -> int:
    return -1 if number is None else number


def _ready(conditions: object) -> tuple[Health, str, str]:
    for item in conditions if isinstance(conditions, list) else []:
        found = mapping(item)
        if found.get("type") != Condition.READY:
            continue
        reason = printable(str(found.get("reason") or "-"))
        health = {"True": Health.WELL, "False": Health.FAILING}.get(str(found.get("status")), Health.UNKNOWN)
        if health is Health.FAILING and reason in ASKED_FOR:
            health = Health.OFF
        return health, reason, str(found.get("message") or "")
    return Health.UNKNOWN, Reason.PENDING.value, "the operator has not told of this relay yet"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
