"""From what the controller observed of a relay to what a decision on its pods is made from."""

from collections.abc import Sequence
from datetime import datetime

from outboxrelay.api.names import Reason
from outboxrelay.api.report import RelayReport
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.autoscaling.values import NEVER, Policy, Reading
from outboxrelay.decisions.facts import Count, PodFacts, PodReport, Probe

SEASONED_SECONDS = 15.0
"""A pod's rates are means of ten seconds; before it took shards there was nothing to deliver for it."""
BUSY_DATABASE = frozenset({Reason.TOO_MANY_CONNECTIONS, Reason.TIMEOUT})
UNMOVED_SECONDS = 25.0


def policy_of(spec: OutboxRelaySpec, period: float) -> Policy:
    """What the spec asks for; ``period``: seconds between two looks."""
    scaling, database = spec.scaling, spec.source.database
    bounds = [
        (scaling.max_replicas, f"scaling.maxReplicas {scaling.max_replicas}"),
        (database.most_pods, f"source.database.maxConnections {database.max_connections}"),
    ]
    if spec.ordering.mode != "None":
        # A critical relay has a pod that stands by, also where there is no shard for it.
        bounds.append((max(spec.ordering.shards, spec.fewest_pods), f"ordering.shards {spec.ordering.shards}"))
    limits = {
        "flow.maxRowsPerSecond": spec.flow.max_rows_per_second,
        "flow.maxBytesPerSecond": spec.flow.max_bytes_per_second,
    }
    for field, limit in limits.items():
        # More pods would send more than whoever set the limit wants what comes after to take.
        if limit is not None:
            bounds.append((max(1, spec.fewest_pods), f"{field} {limit}, a limit of each pod,"))
    maximum, named = min(bounds, key=lambda item: item[0])
    return Policy(
        minimum=spec.fewest_pods,
        maximum=maximum,
        maximum_from=named,
        drain_seconds=float(scaling.target_drain_seconds),
        max_lag=float(spec.objectives.max_lag_seconds),
        utilization=scaling.target_utilization_percent / 100,
        stabilization_seconds=float(scaling.scale_down_stabilization_seconds),
        idle_seconds=float(scaling.idle_seconds),
        effectiveness=scaling.effectiveness_percent / 100,
        ramp_seconds=float(spec.flow.recovery_ramp_seconds),
        statement_seconds=float(database.statement_timeout_seconds),
        period=period,
    )


def reading_of(
    *,
    now: float,
    source: Probe | None,
    target: Probe | None,
    count: Count | None,
    pods: Sequence[PodFacts],
    reports: Sequence[PodReport],
    unmoved_since: float | None,
) -> Reading:
    """What was last observed; ``reports`` are fresh, ``unmoved_since`` is when rows last moved or none waited."""
    told = [item.report for item in reports if item.report.state in ("Running", "Paused", "Stopping")]
    ready = {pod.name for pod in pods if pod.ready}
    slow = [report.delivery.read_p95_milliseconds for report in told]
    slowest = max((value for value in slow if value is not None), default=None)
    return Reading(
        now=now,
        rows=None if count is None else count.rows,
        exact=count is None or count.exact,
        lag=None if count is None or count.rows == 0 else count.oldest_age,
        counted_at=NEVER if count is None else count.at,
        ready=len(ready),
        told=len(told),
        silent=len(ready - {item.report.member for item in reports}),
        seasoned=bool(told) and all(_age(report) >= SEASONED_SECONDS for report in told),
        delivered=sum(report.delivery.rows_per_second for report in told),
        busy=_mean([report.delivery.busy_share for report in told]),
        full=_mean([_full(report) for report in told]),
        read_seconds=None if slowest is None else slowest / 1000,
        target_fault=_target_fault(target, told),
        source_fault=_source_fault(source, told),
        unmoved=bool(count and count.rows and unmoved_since is not None and now - unmoved_since >= UNMOVED_SECONDS),
        errors=_errors(told),
        slowed=_slowed(told),
    )


def _age(report: RelayReport) -> float:
    return _seconds(report.started_at, report.observed_at)


def _seconds(begun: datetime, ended: datetime) -> float:
    return (ended - begun).total_seconds()


def _mean(shares: Sequence[float]) -> float:
    return sum(shares) / len(shares) if shares else 0.0


def _full(report: RelayReport) -> float:
    """A pod of a version that does not tell counts as full while it is busy."""
    found = report.delivery.full_share
    return report.delivery.busy_share if found is None else found


def _target_fault(probe: Probe | None, told: Sequence[RelayReport]) -> str:
    if probe is not None and not probe.healthy:
        return str(probe.reason)
    for report in told:
        if report.target.healthy is False:
            return report.target.reason
    return "a pod waits before it tries again" if any(item.delivery.circuit == "Open" for item in told) else ""


def _source_fault(probe: Probe | None, told: Sequence[RelayReport]) -> str:
    reasons = [probe.reason] if probe is not None else []
    reasons += [Reason(report.source.reason) for report in told if _busy_database(report)]
    found = next((reason for reason in reasons if reason in BUSY_DATABASE), None)
    return "" if found is None else f"the database has too much to do: {found}"


def _busy_database(report: RelayReport) -> bool:
    return report.source.healthy is False and report.source.reason in BUSY_DATABASE


def _errors(told: Sequence[RelayReport]) -> str:
    """Rows that wait for something else and yet may be counted as a backlog."""
    topics = sorted({item.topic for report in told for item in report.blocked_topics})
    if topics:
        return f"rows wait for topic {topics[0]}" + (f" and {len(topics) - 1} more" if len(topics) > 1 else "")
    unnamed = any(report.held.keys > len(report.held.rows) for report in told)
    return "more keys are held by a bad row than pods name" if unnamed else ""


def _slowed(told: Sequence[RelayReport]) -> str:
    states = {report.delivery.flow.state for report in told}
    if "Ramping" in states:
        return "a pod sends at less than full speed after an outage"
    return "a pod sends at half speed because brokers are strained" if "Halved" in states else ""
