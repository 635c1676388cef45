"""From findings to status.conditions, and which changes are worth an Event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.status import ConditionStatus
from outboxrelay.decisions.facts import Finding

QUIET = frozenset({Reason.DELIVERING, Reason.IDLE})
"""Reasons of a relay that is well: a change between them is no news."""
EXPECTED = frozenset({Reason.PAUSED, Reason.STOPPED, Reason.PENDING, Reason.ROLLING_OUT, Reason.WAITING_FOR_DEPENDENCY})
"""Reasons that somebody asked for or that pass by themselves: no warning."""
MESSAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell as an Event."""

    type: str
    """Normal or Warning."""
    reason: str
    message: str


def with_history(
    findings: Iterable[Finding], before: Iterable[ConditionStatus], *, generation: int, now: str
) -> list[ConditionStatus]:
    """The conditions to write: the time of the last transition is kept while the status is the same."""
    known = {item.type: item for item in before}
    result = []
    for finding in findings:
        old = known.get(finding.type)
        kept = old is not None and old.status == finding.status
        result.append(
            ConditionStatus(
                type=finding.type,
                status=finding.status,
                observed_generation=generation,
                last_transition_time=old.last_transition_time if kept and old is not None else now,
                reason=finding.reason,
                message=finding.message[:MESSAGE_LIMIT],
            )
        )
    return result


def ready_news(before: Sequence[ConditionStatus], after: Sequence[ConditionStatus]) -> list[News]:
    """The Event about Ready, where its status or reason changed."""
    old, new = _ready(before), _ready(after)
    if new is None or new.reason == Reason.PENDING:
        return []
    if old is not None and (old.status, old.reason) == (new.status, new.reason):
        return []
    if old is not None and {old.reason, new.reason} <= QUIET:
        return []
    good = new.status == "True" or new.reason in EXPECTED
    return [News("Normal" if good else "Warning", new.reason, new.message)]


def held_news(before: int, after: int, example: str) -> list[News]:
    """The Event about keys that began or ceased to wait for a row that cannot be sent."""
    if after > before:
        many = "1 key waits" if after == 1 else f"{after} keys wait"
        return [News("Warning", "RowHeld", f"{many} because a row cannot be sent: {example}"[:MESSAGE_LIMIT])]
    if before > after == 0:
        return [News("Normal", "RowsReleased", "no key waits any more for a row that cannot be sent")]
    return []


def _ready(conditions: Sequence[ConditionStatus]) -> ConditionStatus | None:
    return next((item for item in conditions if item.type == Condition.READY), None)
