"""From what was observed of one relay to the faults that are there, and those of which nothing can be said now.

Database and brokers are judged from two vantage points, the controller's own question and what each pod says: either
is enough. Where one fault hides another, the hidden one is unknown, neither good nor bad.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from outboxrelay.api.incidents import IncidentType
from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.report import Health
from outboxrelay.api.status import ConditionStatus
from outboxrelay.decisions.conditions import LOGIN_REASONS, STALE_SECONDS, set_aside
from outboxrelay.decisions.facts import Facts, PodReport, Probe
from outboxrelay.decisions.incidents.kinds import KINDS

LAG_CONDITION = "LagWithinObjective"
START_SECONDS = 120.0
"""As long as a rollout may take."""

DATABASE = {
    Reason.TLS_FAILED: IncidentType.DATABASE_TLS_FAILED,
    Reason.TOO_MANY_CONNECTIONS: IncidentType.DATABASE_CONNECTIONS_EXHAUSTED,
    Reason.AUTHENTICATION_FAILED: IncidentType.DATABASE_ACCESS_DENIED,
    Reason.PERMISSION_DENIED: IncidentType.DATABASE_ACCESS_DENIED,
    Reason.READ_ONLY: IncidentType.DATABASE_READ_ONLY,
    Reason.DATABASE_ERROR: IncidentType.DATABASE_ERRORS,
    Reason.TABLE_NOT_FOUND: IncidentType.TABLE_UNUSABLE,
    Reason.SCHEMA_MISMATCH: IncidentType.TABLE_UNUSABLE,
    Reason.UNSUPPORTED_SERVER: IncidentType.TABLE_UNUSABLE,
}
"""Any other reason means that it cannot be used at all."""
DATABASE_LADDER = (
    (IncidentType.DATABASE_UNAVAILABLE,),
    (IncidentType.DATABASE_TLS_FAILED,),
    (IncidentType.DATABASE_CONNECTIONS_EXHAUSTED, IncidentType.DATABASE_ACCESS_DENIED),
    (IncidentType.DATABASE_READ_ONLY,),
    (IncidentType.TABLE_UNUSABLE, IncidentType.DATABASE_ERRORS, IncidentType.TRANSACTION_HELD_OPEN),
)
"""Who meets a fault of one step cannot tell about the steps after it."""
BROKERS = {
    Reason.TLS_FAILED: IncidentType.BROKER_TLS_FAILED,
    Reason.AUTHENTICATION_FAILED: IncidentType.BROKER_ACCESS_DENIED,
    Reason.TOPIC_NOT_FOUND: IncidentType.TOPIC_UNAVAILABLE,
    Reason.AUTHORIZATION_FAILED: IncidentType.TOPIC_UNAVAILABLE,
    Reason.NOT_ENOUGH_IN_SYNC_REPLICAS: IncidentType.NOT_ENOUGH_REPLICAS,
}
BROKER_LADDER = (
    (IncidentType.BROKER_UNAVAILABLE,),
    (IncidentType.BROKER_TLS_FAILED,),
    (IncidentType.BROKER_ACCESS_DENIED,),
    (IncidentType.TOPIC_UNAVAILABLE, IncidentType.NOT_ENOUGH_REPLICAS),
)
PODS = {
    Reason.CRASH_LOOPING: IncidentType.RELAY_CRASH_LOOPING,
    Reason.IMAGE_PULL_FAILED: IncidentType.RELAY_IMAGE_PULL_FAILED,
    Reason.UNSCHEDULABLE: IncidentType.RELAY_UNSCHEDULABLE,
}
SECRETS = frozenset({Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_MISSING})
UNTOLD = frozenset({Reason.PENDING, Reason.PROBE_STALE})
"""Reasons that say only that nothing is known."""

Sight = tuple[str, str, float]
"""Reason and message of somebody who met a fault, and when."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A fault that is there now."""

    type: IncidentType
    reason: str
    message: str
    scope: str = ""
    seen_at: float | None = None
    """Monotonic time of the answer that told of it, which one look may have from another; None: of the look."""

    @property
    def mark(self) -> tuple[str, str]:
        """Type and scope: there is never more than one open incident for it."""
        return str(self.type), self.scope


@dataclass(frozen=True, slots=True)
class Observation:
    """One look."""

    at: float
    """Monotonic seconds."""
    signals: tuple[Signal, ...] = ()
    unknown: frozenset[str] = field(default_factory=frozenset)
    """Types that cannot be judged now. What is neither here nor in signals is well."""
    explained: bool = False
    """Whether the faults that are there are reason enough for rows not to move."""


def observe(facts: Facts, conditions: Sequence[ConditionStatus]) -> Observation:
    """What ``facts`` and the conditions made of them say about every type of incident."""
    known = {item.type: item for item in conditions}
    signals, unknown = _declared(facts)
    for more, unsure in (_database(facts), _brokers(facts), _pods(facts), _delivery(facts, known), _rows(facts)):
        signals += more
        unknown |= unsure
    explained = any(KINDS[item.type].explains for item in signals if item.type not in PODS.values())
    found = frozenset(str(item) for item in unknown - {item.type for item in signals})
    return Observation(facts.now, tuple(signals), found, explained or _nobody_works(facts, signals))


def _declared(facts: Facts) -> tuple[list[Signal], set[IncidentType]]:
    verdict = facts.verdict
    if verdict.reason is Reason.PENDING:
        return [], {IncidentType.SECRET_MISSING, IncidentType.SPEC_REFUSED}
    if verdict.accepted:
        return [], set()
    kind = IncidentType.SECRET_MISSING if verdict.reason in SECRETS else IncidentType.SPEC_REFUSED
    return [Signal(kind, verdict.reason, verdict.message)], set()


def _database(facts: Facts) -> tuple[list[Signal], set[IncidentType]]:
    sights = _sights(facts, facts.source, [(item, item.report.source) for item in facts.reports])
    signals = _judged(sights, DATABASE, IncidentType.DATABASE_UNAVAILABLE, facts.source_scope)
    unsure = _unsure(signals, DATABASE_LADDER, heard=_heard(facts, facts.source))
    if not facts.reports and facts.wanted:
        unsure.add(IncidentType.TRANSACTION_HELD_OPEN)
    for item in facts.reports:
        if (holder := item.report.holder) is not None:
            message = f"an open transaction holds rows or their removal back: {holder.description}"
            signals.append(Signal(IncidentType.TRANSACTION_HELD_OPEN, "TransactionHeldOpen", message))
            break
    return signals, unsure


def _brokers(facts: Facts) -> tuple[list[Signal], set[IncidentType]]:
    sights = _sights(facts, facts.target, [(item, item.report.target) for item in facts.reports])
    blocked = {topic.topic: topic for item in facts.reports for topic in item.report.blocked_topics}
    for name in sorted(blocked):
        others = f", and {len(blocked) - 1} topics more" if len(blocked) > 1 else ""
        message = f"{blocked[name].message}{others}; rows for other topics go on"
        sights.append((blocked[name].reason, message, max(item.at for item in facts.reports)))
    signals = _judged(sights, BROKERS, IncidentType.BROKER_UNAVAILABLE, facts.target_scope)
    return signals, _unsure(signals, BROKER_LADDER, heard=_heard(facts, facts.target))


def _heard(facts: Facts, probe: Probe | None) -> bool:
    """Whether the controller's own question was answered lately, in whatever way."""
    return probe is not None and facts.now - probe.at <= STALE_SECONDS and probe.reason not in UNTOLD


def _sights(facts: Facts, probe: Probe | None, pods: Iterable[tuple[PodReport, Health]]) -> list[Sight]:
    """Every fault that somebody met, the controller's own sight first."""
    found: list[Sight] = []
    told = [(pod, health) for pod, health in pods if health.healthy is not None]
    if probe is not None and _heard(facts, probe) and not probe.healthy:
        well = sum(1 for _, health in told if health.healthy)
        known = f" (the operator sees this; {well} of {len(told)} pods say that it is well)" if well else ""
        if well and probe.reason in LOGIN_REASONS:
            known = " (pods that already run still deliver)"
        found.append((probe.reason, probe.message + known, probe.at))
    for pod, health in told:
        if not health.healthy and health.reason not in UNTOLD:
            found.append((health.reason, f"pod {pod.report.member}: {health.message or health.reason}", pod.at))
    return found


def _judged(sights: list[Sight], types: Mapping[Reason, IncidentType], rest: IncidentType, scope: str) -> list[Signal]:
    """One signal for each type: the first sight of it, with the time of the newest."""
    by_name = {str(reason): kind for reason, kind in types.items()}
    found: dict[IncidentType, Signal] = {}
    for reason, message, at in sights:
        kind = by_name.get(reason, rest)
        place = scope if KINDS[kind].shared else ""
        first = found.setdefault(kind, Signal(kind, str(reason), message, place, at))
        found[kind] = replace(first, seen_at=max(first.seen_at or at, at))
    return list(found.values())


def _unsure(signals: list[Signal], ladder: Sequence[tuple[IncidentType, ...]], *, heard: bool) -> set[IncidentType]:
    """Types behind the first step that fails; without an answer of our own every type."""
    present = {item.type for item in signals}
    for number, step in enumerate(ladder):
        if present.intersection(step):
            return {kind for later in ladder[number + 1 :] for kind in later}
    return set() if heard else {kind for step in ladder for kind in step}


def _pods(facts: Facts) -> tuple[list[Signal], set[IncidentType]]:
    signals: dict[IncidentType, Signal] = {}
    deployment = facts.deployment
    if deployment is not None and deployment.refused:
        quota = "exceeded quota" in deployment.refused
        reason = Reason.QUOTA_EXCEEDED if quota else Reason.UNSCHEDULABLE
        message = f"pods are refused: {deployment.refused}"
        signals[IncidentType.RELAY_UNSCHEDULABLE] = Signal(IncidentType.RELAY_UNSCHEDULABLE, reason, message)
    for pod in facts.pods:
        kind = PODS.get(pod.problem) if pod.problem is not None else None
        if kind is not None:
            signals.setdefault(kind, Signal(kind, str(pod.problem), f"pod {pod.name}: {pod.message}"))
    if deployment is not None and deployment.overdue and deployment.ready < deployment.desired:
        message = f"{deployment.ready} of {deployment.desired} pods are ready, past the deadline of 120 s"
        signals[IncidentType.ROLLOUT_STALLED] = Signal(IncidentType.ROLLOUT_STALLED, Reason.ROLLING_OUT, message)
    if unanswered := _silence(facts):
        signals[unanswered.type] = unanswered
    fallen = [pod.name for pod in facts.pods if pod.fell and pod.name not in facts.silent and pod.problem is None]
    if fallen:
        message = f"pod {fallen[0]} was ready and is not any more, though it answers the operator"
        signals[IncidentType.RELAY_NOT_READY] = Signal(IncidentType.RELAY_NOT_READY, "NotReady", message)
    return list(signals.values()), {IncidentType.ROLLOUT_STALLED} if facts.wanted and deployment is None else set()


def _silence(facts: Facts) -> Signal | None:
    """Pods that do not answer: dead, or only out of the operator's reach while rows move all the same."""
    silent = [pod for pod in facts.pods if pod.name in facts.silent]
    if not silent:
        return None
    names = ", ".join(pod.name for pod in silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
    ready = all(pod.ready for pod in silent)
    # Only rows that left after they fell silent show that they work.
    moved, since = facts.moved_at, facts.silent_since
    moving = moved is not None and since is not None and moved > since and facts.now - moved <= STALE_SECONDS
    answering = any(item.report.member not in facts.silent for item in facts.reports)
    if ready and moving and not answering:
        message = f"the operator cannot reach {names} at port 8080, but Kubernetes says ready and rows are delivered"
        return Signal(IncidentType.RELAY_UNREACHABLE, "Unreachable", message)
    says = "Kubernetes still says that it is ready" if ready else "Kubernetes says that it is not ready either"
    message = f"{names} does not answer the operator any more; {says}"
    return Signal(IncidentType.RELAY_UNRESPONSIVE, "Unresponsive", message)


def _nobody_works(facts: Facts, signals: Iterable[Signal]) -> bool:
    """Whether something is wrong with pods and none is left that works."""
    ill = any(KINDS[item.type].explains for item in signals)
    return ill and not any(pod.ready and pod.name not in facts.silent for pod in facts.pods)


def _delivery(facts: Facts, known: Mapping[str, ConditionStatus]) -> tuple[list[Signal], set[IncidentType]]:
    signals, unsure = [], set()
    if _starting(facts):
        return [], {IncidentType.NO_PROGRESS, IncidentType.LAG_OBJECTIVE_MISSED}
    delivering = known.get(Condition.DELIVERING)
    if delivering is not None and delivering.reason == Reason.NO_PROGRESS:
        signals.append(Signal(IncidentType.NO_PROGRESS, delivering.reason, delivering.message))
    elif delivering is None or delivering.status == "Unknown" or delivering.reason == Reason.RECOVERING:
        unsure.add(IncidentType.NO_PROGRESS)
    lag = known.get(LAG_CONDITION)
    if lag is not None and lag.status == "False":
        signals.append(Signal(IncidentType.LAG_OBJECTIVE_MISSED, lag.reason, lag.message))
    elif lag is not None and lag.status == "Unknown":
        unsure.add(IncidentType.LAG_OBJECTIVE_MISSED)
    return signals, unsure


def _starting(facts: Facts) -> bool:
    """Whether the first pods are still on their way: rows wait for them, and that is no news for a while."""
    if facts.wanted == 0 or any(pod.ready or pod.fell for pod in facts.pods):
        return False
    return facts.progress_at is not None and facts.now - facts.progress_at < START_SECONDS


def _rows(facts: Facts) -> tuple[list[Signal], set[IncidentType]]:
    if not facts.reports:
        return [], {IncidentType.POISON_ROWS, IncidentType.QUARANTINE_FULL}
    reports = [item.report for item in facts.reports]
    aside, held = max(report.quarantine.rows or 0 for report in reports), sum(report.held.keys for report in reports)
    signals = []
    if aside or held:
        first = next((f" ({row.reason}: {row.message})" for report in reports for row in report.held.rows), "")
        signals.append(Signal(IncidentType.POISON_ROWS, Reason.POISON_ROWS, set_aside(aside, held) + first))
    if any(report.quarantine.limit_reached for report in reports):
        message = f"{aside} rows are in quarantine, as many as spec.poison.maxQuarantinedRows allows: keys are held"
        signals.append(Signal(IncidentType.QUARANTINE_FULL, Reason.QUARANTINE_LIMIT, message))
    return signals, set()
