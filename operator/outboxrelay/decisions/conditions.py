"""What the facts say about one relay's health: ten conditions, each with a reason and a sentence.

Unknown is said where something cannot be observed now; nothing is guessed.
"""

from collections.abc import Callable, Iterable

from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.report import Health
from outboxrelay.decisions.availability import available
from outboxrelay.decisions.facts import Count, Facts, Finding, PodReport, Probe, Status
from outboxrelay.decisions.rollouts import rolled_out
from outboxrelay.decisions.scaling import scaling_active

STALE_SECONDS = 15.0
"""A probe older than this says nothing."""
NO_PROGRESS_SECONDS = 20.0
"""Longer than a lost pod's shards take to be taken over, and four looks."""
KNOWN_SECONDS = 14.0
"""So much of that must have been seen; the rest may be the time since pods were last asked."""
TABLE_REASONS = frozenset({Reason.TABLE_NOT_FOUND, Reason.SCHEMA_MISMATCH, Reason.UNSUPPORTED_SERVER})
"""Faults of what the spec asks for rather than of the way to the database: they belong to Accepted."""
LOGIN_REASONS = frozenset({Reason.AUTHENTICATION_FAILED, Reason.TOO_MANY_CONNECTIONS})
"""Faults that only somebody who logs in anew meets."""


def conditions(facts: Facts) -> tuple[Finding, ...]:
    """Ready first, then what it sums up."""
    parts = (
        accepted(facts),
        reachable(facts, Condition.SOURCE_REACHABLE, "the database", facts.source, lambda item: item.report.source),
        reachable(facts, Condition.TARGET_REACHABLE, "Kafka", facts.target, lambda item: item.report.target),
        available(facts),
        delivering(facts),
    )
    others = lag_within_objective(facts), scaling_active(facts.scaling), quarantined(facts), rolled_out(facts)
    return (ready(facts, parts), *parts, *others)


def accepted(facts: Facts) -> Finding:
    """The condition Accepted: the verdict on the spec, or what the database says of the table."""
    verdict = facts.verdict
    if not verdict.accepted:
        status: Status = "Unknown" if verdict.reason is Reason.PENDING else "False"
        return _finding(Condition.ACCEPTED, status, verdict.reason, verdict.message)
    probe = facts.source
    if probe is not None and probe.reason in TABLE_REASONS:
        return _finding(Condition.ACCEPTED, "False", probe.reason, probe.message)
    for item in facts.reports:
        # What only a pod meets: a transaction pooler under its locks, a statement that the probe has no use for.
        health = item.report.source
        if health.healthy is False and health.reason in TABLE_REASONS:
            message = f"pod {item.report.member}: {health.message or health.reason}"
            return _finding(Condition.ACCEPTED, "False", health.reason, message)
    return _finding(Condition.ACCEPTED, "True", Reason.ACCEPTED, verdict.message)


def reachable(
    facts: Facts, condition: Condition, what: str, probe: Probe | None, side: Callable[[PodReport], Health]
) -> Finding:
    """SourceReachable or TargetReachable: the controller's own probe first, then what the pods say."""
    if probe is None:
        reason = Reason.PENDING if facts.verdict.accepted else facts.verdict.reason
        return _finding(condition, "Unknown", reason, f"{what} has not been asked yet")
    age = facts.now - probe.at
    if age > STALE_SECONDS:
        return _finding(condition, "Unknown", Reason.PROBE_STALE, f"{what} has not been asked for more than 15 s")
    if not probe.healthy and probe.reason not in TABLE_REASONS:
        return _finding(condition, "False", probe.reason, probe.message + _delivers(facts, probe.reason))
    for item in facts.reports:
        health = side(item)
        if health.healthy is False and health.reason not in TABLE_REASONS:
            message = f"pod {item.report.member}: {health.message or health.reason}"
            return _finding(condition, "False", health.reason, message)
    if condition is Condition.TARGET_REACHABLE and (blocked := _blocked(facts)):
        return blocked
    return _finding(condition, "True", Reason.CONNECTED, f"{what} answers")


def delivering(facts: Facts) -> Finding:
    """The condition Delivering: whether rows move, as far as pods and the table tell."""
    kind = Condition.DELIVERING
    if facts.wanted == 0 and not facts.asleep:
        return _finding(kind, "False", Reason.PAUSED, "no pod is asked for, so nothing is delivered")
    if facts.state == "Paused":
        return _finding(kind, "False", Reason.PAUSED, "spec.state is Paused: pods are connected and read nothing")
    if (hold := facts.unstarted) is not None:
        return _finding(kind, "False", hold.reason, f"nothing is delivered yet: {hold.message}")
    count = facts.count
    if count is None or facts.now - count.at > STALE_SECONDS:
        return _finding(kind, "Unknown", Reason.PROBE_STALE, "the table cannot be counted now")
    if count.rows == 0:
        return _finding(kind, "True", Reason.IDLE, "nothing waits in the table")
    if any(item.report.delivery.circuit == "Open" for item in facts.reports):
        return _finding(kind, "False", Reason.RECOVERING, "a pod waits before it tries again what failed")
    if facts.progress_at is not None and facts.now - facts.progress_at >= NO_PROGRESS_SECONDS:
        if _seen(facts, count) - facts.progress_at < KNOWN_SECONDS:
            return _finding(kind, "Unknown", Reason.PROBE_STALE, "rows wait; what is known of their movement is old")
        return _finding(kind, "False", Reason.NO_PROGRESS, _stuck(facts))
    if not facts.reports:
        return _finding(kind, "Unknown", Reason.PENDING, "rows wait, and no pod has told yet what it does")
    return _finding(kind, "True", Reason.PROGRESSING, "rows are being delivered")


def lag_within_objective(facts: Facts) -> Finding:
    """The condition LagWithinObjective. A relay that is late and delivers is Ready all the same."""
    kind, count, most = Condition.LAG_WITHIN_OBJECTIVE, facts.count, facts.max_lag
    if count is None or facts.now - count.at > STALE_SECONDS:
        return _finding(kind, "Unknown", Reason.PROBE_STALE, "the table cannot be counted now")
    if count.rows and count.oldest_age is None:
        message = "the table has no time column, or the oldest row no time: name one in spec.source.table.columns"
        return _finding(kind, "Unknown", Reason.LAG_UNKNOWN, message)
    if count.rows and (count.oldest_age or 0.0) > most:
        message = f"the oldest row that can be delivered waits for more than maxLagSeconds {most:.0f}"
        return _finding(kind, "False", Reason.OBJECTIVE_MISSED, message)
    return _finding(kind, "True", Reason.WITHIN_OBJECTIVE, f"no row waits for more than maxLagSeconds {most:.0f}")


def quarantined(facts: Facts) -> Finding:
    """The condition Quarantined, True where somebody must look: rows that cannot be sent were moved aside, or wait."""
    kind = Condition.QUARANTINED
    if not facts.reports:
        return _finding(kind, "Unknown", Reason.PENDING, "no pod tells of rows that cannot be sent")
    reports = [item.report for item in facts.reports]
    rows = max((report.quarantine.rows or 0 for report in reports), default=0)
    held = sum(report.held.keys for report in reports)
    if any(report.quarantine.limit_reached for report in reports):
        message = (
            f"{rows} rows are in quarantine, as many as spec.poison.maxQuarantinedRows allows: further keys are held"
        )
        return _finding(kind, "True", Reason.QUARANTINE_LIMIT, message)
    if rows or held:
        message = f"{set_aside(rows, held)}; see status.held and quarantine list"
        return _finding(kind, "True", Reason.POISON_ROWS, message)
    return _finding(kind, "False", Reason.NONE, "no row waits for a person")


def ready(facts: Facts, parts: Iterable[Finding]) -> Finding:
    """The condition Ready: the first part that is not well, in the order in which causes lead to effects."""
    ordered = list(parts)
    verdict, last = ordered[0], ordered[-1]
    kind = Condition.READY
    if verdict.status == "False":
        return _finding(kind, "False", verdict.reason, verdict.message)
    if facts.state == "Stopped":
        return _finding(kind, "False", Reason.STOPPED, "spec.state is Stopped; set it to Running to deliver")
    if facts.wanted == 0 and not facts.asleep:
        return _finding(kind, "False", Reason.STOPPED, "spec.scaling.replicas is 0; raise it to deliver")
    if facts.state == "Paused":
        return _finding(kind, "False", Reason.PAUSED, "spec.state is Paused; set it to Running to deliver")
    ranked = [part for status in ("False", "Unknown") for part in ordered if part.status == status]
    if ranked:
        return _finding(kind, ranked[0].status, ranked[0].reason, ranked[0].message)
    idle = last.reason == Reason.IDLE
    reason = Reason.IDLE if idle else Reason.DELIVERING
    return _finding(kind, "True", reason, "nothing waits in the table" if idle else "rows are being delivered")


def _blocked(facts: Facts) -> Finding | None:
    """Topics that take nothing while others do."""
    blocked = {item.topic: item for pod in facts.reports for item in pod.report.blocked_topics}
    if not blocked:
        return None
    first = blocked[min(blocked)]
    others = f", and {len(blocked) - 1} topics more" if len(blocked) > 1 else ""
    message = f"{first.message}{others}; rows for other topics go on"
    return _finding(Condition.TARGET_REACHABLE, "False", first.reason, message)


def set_aside(rows: int, keys: int) -> str:
    """What waits for a person: ``rows`` in quarantine, and ``keys`` that are held."""
    parts = [f"{rows} {'row is' if rows == 1 else 'rows are'} in quarantine"] if rows else []
    parts += [f"{keys} {'key is' if keys == 1 else 'keys are'} held by a row that cannot be sent"] if keys else []
    return "; ".join(parts)


def _delivers(facts: Facts, reason: Reason) -> str:
    """Said beside a login that failed: pods that logged in before still hold connections that work."""
    if reason not in LOGIN_REASONS:
        return ""
    well = [item for item in facts.reports if item.report.source.healthy and item.report.target.healthy]
    return " (pods that already run still deliver)" if well else ""


def _seen(facts: Facts, count: Count) -> float:
    """Until when it is known whether rows move. A late operator has not heard pods for a while, which is no silence of
    theirs, and does not see what they deliver meanwhile."""
    if not facts.reports and any(pod.ready and pod.name not in facts.silent for pod in facts.pods):
        return float("-inf")
    return max((item.at for item in facts.reports), default=count.at)


def _stuck(facts: Facts) -> str:
    what = f"rows wait and none was delivered for {NO_PROGRESS_SECONDS:.0f} s"
    pods = sum(1 for pod in facts.pods if pod.ready)
    if pods and not facts.reports:
        return f"{what}, and no pod answers the operator on port 8080"
    shards = [item.report.shards for item in facts.reports]
    if shards and len(shards) >= pods and not any(item.owned for item in shards):
        return (
            f"{what}: no pod owns any of the {shards[0].total} shards; another session in the database holds their "
            "locks: see pg_locks, locktype advisory"
        )
    return f"{what}; look at the logs of the relay's pods"


def _finding(kind: Condition, status: Status, reason: str, message: str) -> Finding:
    return Finding(kind, status, reason, message)
