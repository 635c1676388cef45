"""status.scaling of an OutboxRelay in words: inputs, need, gates and the last step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from outboxrelay.api.manifest import parse_spec
from outboxrelay.api.names import Condition
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.api.status import GateStatus, ScalingDecision, ScalingStatus
from outboxrelay.decisions.summary import parse_conditions
from outboxrelay.errors import InvalidInput

Body = Mapping[str, Any]
WAYS = ("ScaleUp", "ScaleDown", "ScaleToZero")


@dataclass(frozen=True, slots=True)
class Part:
    """A title, a sentence or none, and pairs of a name and what there is to say of it."""

    title: str
    sentence: str = ""
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the number of pods came about."""

    headline: str
    conditions: tuple[str, ...] = ()
    """What the conditions about it say, a sentence each."""
    parts: tuple[Part, ...] = ()


def explained(body: Body) -> Explanation:
    """From what the operator has written into an OutboxRelay."""
    told = body.get("status")
    status = told if isinstance(told, Mapping) else {}
    scaling = _scaling(status)
    if scaling is None:
        return Explanation("the operator has not written yet how it scales this relay")
    conditions = (*_condition(status), *_waiting(status))
    parts = []
    if (step := scaling.last_step) is not None:
        parts.append(Part(f"Last step, {step.at}: {step.reason}", step.message))
    if (decision := scaling.last_decision) is not None:
        gates = [gate for gate in decision.gates if gate.name not in WAYS]
        ways = [gate for gate in decision.gates if gate.name in WAYS]
        parts += [
            Part(f"Last decision, {decision.at}: {_decided(decision)}", decision.message),
            Part("What was seen", rows=_inputs(decision)),
            Part("What is needed", rows=_needs(decision, _spec(body))),
            Part("Gates (the first that is shut decides)", rows=_gates(gates)),
            Part("Ways (where no gate is shut)", rows=_gates(ways)),
        ]
    return Explanation(_headline(scaling), conditions, tuple(parts))


def explanation(body: Body) -> list[str]:
    """Lines for people."""
    metadata, found = body["metadata"], explained(body)
    lines = [f"{metadata['namespace']}/{metadata['name']}: {found.headline}", *found.conditions]
    for part in found.parts:
        lines += ["", part.title, *([f"  {part.sentence}"] if part.sentence else []), *_lines(part.rows)]
    return lines


def _scaling(status: Body) -> ScalingStatus | None:
    try:
        return ScalingStatus.model_validate(status.get("scaling"))
    except ValidationError:
        return None


def _spec(body: Body) -> OutboxRelaySpec | None:
    try:
        return parse_spec(body.get("spec"))
    except InvalidInput:
        return None


def _headline(scaling: ScalingStatus) -> str:
    dry = ", dry run" if scaling.dry_run else ""
    mode = f" (mode {scaling.mode}{dry})" if scaling.mode else ""
    return f"{_pods(scaling.desired_replicas)} asked for, {scaling.summary.split('/')[0]} ready{mode}"


def _condition(status: Body) -> list[str]:
    """What ScalingActive says."""
    return _said(status, Condition.SCALING_ACTIVE, ("True", "False", "Unknown"))


def _waiting(status: Body) -> list[str]:
    """Why pods do not have the newest spec, where they do not."""
    return _said(status, Condition.ROLLED_OUT, ("False",))


def _said(status: Body, kind: Condition, wanted: tuple[str, ...]) -> list[str]:
    found = [item for item in parse_conditions(status.get("conditions")) if item.type == kind and item.status in wanted]
    return [f"{item.type}={item.status}, {item.reason}: {item.message}" for item in found[:1]]


def _decided(decision: ScalingDecision) -> str:
    if decision.desired == decision.replicas:
        return f"{_pods(decision.desired)} {'stays' if decision.desired == 1 else 'stay'} ({decision.reason})"
    return f"{decision.replicas} to {_pods(decision.desired)} ({decision.reason})"


def _inputs(decision: ScalingDecision) -> tuple[tuple[str, str], ...]:
    rows = _number(decision.backlog_rows, "rows")
    known = "seen while pods had as much to do as they can" if decision.capacity_learned else "no less than that"
    return (
        ("backlog", rows if decision.backlog_exact else f"more than {rows}"),
        ("lag", _number(decision.lag_seconds, "s")),
        ("delivered", _number(decision.delivered_per_second, "rows/s by all pods")),
        ("arriving", _number(decision.arriving_per_second, "rows/s")),
        ("busy", _number(decision.busy_percent, "% of the time")),
        ("reads at their limit", _number(decision.full_percent, "% of the time")),
        ("slowest reads", _number(decision.read_milliseconds, "ms (95th percentile)")),
        ("one pod delivers", _number(decision.capacity_per_second, f"rows/s, {known}")),
        ("a new pod takes part", _number(decision.pod_start_seconds, "s after it is asked for")),
    )


def _needs(decision: ScalingDecision, spec: OutboxRelaySpec | None) -> tuple[tuple[str, str], ...]:
    """The terms of the formula, from rounded numbers; then the sum as the operator had it."""
    terms = _terms(decision, spec) if spec is not None else []
    capacity, need = decision.capacity_per_second, decision.need_per_second
    pods = f" / {capacity} = {need / capacity:.1f} pods" if need is not None and capacity else ""
    bounds = f"between {decision.minimum} and {decision.maximum} ({decision.maximum_from})"
    want = "unknown, since it is not known what one pod delivers" if decision.want is None else str(decision.want)
    return (*terms, ("need", _number(need, "rows/s") + pods), ("want", f"{want}, {bounds}"))


def _terms(decision: ScalingDecision, spec: OutboxRelaySpec) -> list[tuple[str, str]]:
    rows, arriving, start = decision.backlog_rows, decision.arriving_per_second, decision.pod_start_seconds
    if rows is None or arriving is None or start is None:
        return []
    drain, percent = spec.scaling.target_drain_seconds, spec.scaling.target_utilization_percent
    most = spec.objectives.max_lag_seconds
    terms = [
        ("for the backlog", _quotient(f"{rows} / targetDrainSeconds {drain}", rows / drain)),
        (
            "until pods start",
            _quotient(f"{arriving} x {start} s / targetDrainSeconds {drain}", arriving * start / drain),
        ),
        ("for what arrives", _quotient(f"{arriving} / targetUtilizationPercent {percent}", arriving * 100 / percent)),
    ]
    if (decision.lag_seconds or 0) > most and decision.delivered_per_second:
        terms.append(("or, as rows are late", _quotient(f"{rows} / {max(5, most)} s", rows / max(5, most))))
    return terms


def _quotient(text: str, value: float) -> str:
    return f"{text} = {value:.0f} rows/s"


def _gates(gates: list[GateStatus]) -> tuple[tuple[str, str], ...]:
    return tuple((gate.name, f"{'SHUT' if gate.shut else 'open'}  {gate.detail}") for gate in gates)


def _lines(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in pairs]


def _number(value: int | None, unit: str) -> str:
    return "unknown" if value is None else f"{value} {unit}"


def _pods(number: int) -> str:
    return "1 pod" if number == 1 else f"{number} pods"
