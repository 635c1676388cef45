"""status of an OutboxRelay from the facts, and whether it differs enough from what is written to be written again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from outboxrelay.api.report import RelayReport
from outboxrelay.api.status import (
    Backlog,
    ConditionStatus,
    HeldStatus,
    OutboxRelayStatus,
)
from outboxrelay.decisions.backlog import lag_display, rounded, rows_display
from outboxrelay.decisions.conditions import STALE_SECONDS, conditions
from outboxrelay.decisions.facts import Facts, PodReport
from outboxrelay.decisions.scaling import scaling_status
from outboxrelay.decisions.transitions import with_history

MAX_EXAMPLES = 5
MAX_EXAMPLE = 300
MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """What a status carries beside the facts."""

    generation: int
    version: str
    selector: str
    now: str
    """RFC 3339."""


def status_of(facts: Facts, frame: Frame, before: OutboxRelayStatus) -> OutboxRelayStatus:
    """The status to be written; what cannot be observed now is kept from ``before``."""
    deployment = facts.deployment
    ready = deployment.ready if deployment else 0
    return OutboxRelayStatus(
        observed_generation=frame.generation,
        operator_version=frame.version,
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=ready,
        selector=frame.selector,
        backlog=_backlog(facts, frame, before.backlog),
        held=_held(facts, before.held),
        quarantined_rows=_quarantined(facts, before.quarantined_rows),
        limitations=_told(facts, before.limitations, lambda report: report.limitations),
        notices=_told(facts, before.notices, _notices),
        scaling=scaling_status(facts.scaling, ready=ready, wanted=facts.wanted, at=frame.now),
        conditions=with_history(conditions(facts), before.conditions, generation=frame.generation, now=frame.now),
    )


def worth_writing(old: OutboxRelayStatus, new: OutboxRelayStatus, *, since: float, interval: float) -> bool:
    """Whether ``new`` is to be written over ``old``: at once where the meaning differs, numbers each ``interval``."""
    if _meaning(old) != _meaning(new):
        return True
    return since >= interval and _numbers(old) != _numbers(new)


def _meaning(status: OutboxRelayStatus) -> object:
    return status.model_dump(exclude={"backlog": True, "scaling": {"last_decision"}})


def _numbers(status: OutboxRelayStatus) -> object:
    backlog = None if status.backlog is None else status.backlog.model_dump(exclude={"observed_at"})
    decision = status.scaling.last_decision if status.scaling else None
    return backlog, None if decision is None else decision.model_dump(exclude={"at"})


def _backlog(facts: Facts, frame: Frame, before: Backlog | None) -> Backlog | None:
    count = facts.count
    if count is None or facts.now - count.at > STALE_SECONDS:
        return before
    age = None if count.oldest_age is None else max(0, rounded(count.oldest_age))
    if count.rows == 0:
        age = 0
    return Backlog(
        rows=rounded(count.rows),
        exact=count.exact,
        display=rows_display(count.rows, count.exact),
        oldest_age_seconds=age,
        lag_display=lag_display(age),
        delivered_per_second=rounded(sum(item.report.delivery.rows_per_second for item in facts.reports)),
        observed_at=frame.now,
    )


def _held(facts: Facts, before: HeldStatus | None) -> HeldStatus | None:
    if facts.wanted and not facts.reports:
        return before
    return HeldStatus(keys=sum(item.report.held.keys for item in facts.reports), examples=held_examples(facts.reports))


def _quarantined(facts: Facts, before: int | None) -> int | None:
    """Every pod counts all rows of the relay."""
    if facts.wanted and not facts.reports:
        return before
    return max((rows for item in facts.reports if (rows := item.report.quarantine.rows) is not None), default=None)


def _notices(report: RelayReport) -> list[str]:
    held = [f"an open transaction holds rows back: {report.holder.description}"] if report.holder else []
    return held + report.notices


def _told(facts: Facts, before: list[str], of: Callable[[RelayReport], list[str]]) -> list[str]:
    """What any pod says, each sentence once."""
    if facts.wanted and not facts.reports:
        return before
    return list(dict.fromkeys(line[:MAX_EXAMPLE] for item in facts.reports for line in of(item.report)))[:MAX_LINES]


def held_examples(reports: Sequence[PodReport]) -> list[str]:
    """Up to five held rows, the oldest first."""
    rows = sorted((row for item in reports for row in item.report.held.rows), key=lambda row: row.since)
    return [
        f"row {row.row_id}, key {row.key!r}: {row.reason}: {row.message}"[:MAX_EXAMPLE] for row in rows[:MAX_EXAMPLES]
    ]


def parse_conditions(items: object) -> list[ConditionStatus]:
    """The conditions in a live status; what another version wrote differently is left out."""
    result = []
    for item in items if isinstance(items, list) else []:
        known = {key: item[key] for key in _CONDITION_FIELDS if key in item} if isinstance(item, dict) else {}
        if known.keys() >= _REQUIRED and known["status"] in ("True", "False", "Unknown"):
            try:
                result.append(ConditionStatus.model_validate(known))
            except ValidationError:
                continue
    return result


_CONDITION_FIELDS = ("type", "status", "observedGeneration", "lastTransitionTime", "reason", "message")
_REQUIRED = {"type", "status", "lastTransitionTime", "reason", "message"}
