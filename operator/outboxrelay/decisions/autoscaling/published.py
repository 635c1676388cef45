"""A decision as status shows it: numbers with two digits, so that they do not change with every row."""

from outboxrelay.api.status import GateStatus, ScalingDecision
from outboxrelay.decisions.autoscaling.values import Decision
from outboxrelay.decisions.backlog import rounded


def published(decision: Decision, at: str) -> ScalingDecision:
    """The decision, made ``at`` (RFC 3339), for status.scaling.lastDecision."""
    reading, found, policy = decision.reading, decision.estimate, decision.policy
    known = reading.rows is not None
    return ScalingDecision(
        at=at,
        replicas=decision.before,
        desired=decision.desired,
        reason=decision.reason,
        message=decision.message,
        backlog_rows=_rounded(reading.rows),
        backlog_exact=reading.exact,
        lag_seconds=_rounded(reading.lag),
        delivered_per_second=_rounded(reading.delivered),
        arriving_per_second=_rounded(found.arriving) if known else None,
        capacity_per_second=_rounded(found.capacity),
        capacity_learned=found.learned,
        busy_percent=_rounded(reading.busy * 100),
        full_percent=_rounded(reading.full * 100),
        read_milliseconds=None if reading.read_seconds is None else _rounded(reading.read_seconds * 1000),
        pod_start_seconds=_rounded(decision.start_seconds),
        need_per_second=_rounded(found.need) if known else None,
        want=found.want,
        minimum=policy.minimum,
        maximum=policy.maximum,
        maximum_from=policy.maximum_from,
        gates=[
            GateStatus(name=gate.name, shut=gate.shut, detail=gate.detail) for gate in decision.gates + decision.ways
        ],
    )


def step_message(decision: Decision) -> str:
    """The sentence of the Event about a step."""
    found, reading = decision.estimate, decision.reading
    capacity = "an unknown number" if found.capacity is None else str(rounded(found.capacity))
    numbers = (
        f"{rounded(reading.rows or 0)} rows wait, {rounded(found.arriving)} rows/s arrive, "
        f"{rounded(reading.delivered)} are delivered, {rounded(found.need)} are needed, one pod delivers {capacity}"
    )
    return f"{decision.before} to {decision.desired} pods: {decision.message} ({numbers})"


def _rounded(number: float | None) -> int | None:
    return None if number is None else max(0, rounded(number))
