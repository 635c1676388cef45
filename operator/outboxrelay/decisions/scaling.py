"""What is told of the number of pods: the condition ScalingActive, status.scaling, and the Event of a step."""

from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.status import ScalingStatus, ScalingStep
from outboxrelay.decisions.autoscaling.published import published
from outboxrelay.decisions.autoscaling.values import Decision, ScalingFacts
from outboxrelay.decisions.facts import Finding, Status
from outboxrelay.decisions.transitions import News

WARNINGS = frozenset({"ScaleReverted"})


def scaling_active(facts: ScalingFacts | None) -> Finding:
    """The condition ScalingActive: True while the number of pods follows the backlog, and why not otherwise."""
    if facts is None:
        return _finding("Unknown", Reason.PENDING, "nothing is scaled before the spec is accepted")
    if facts.state == "Stopped":
        return _finding("False", Reason.STOPPED, "spec.state is Stopped: no pod runs")
    if facts.dry_run and facts.decision is not None:
        decision = facts.decision
        message = f"{decision.desired} pods would be asked for ({decision.reason}: {decision.message})"
        return _finding("False", Reason.DRY_RUN, f"spec.scaling.dryRun is set: {message}")
    if facts.mode == "Manual":
        return _finding("False", Reason.MANUAL, "spec.scaling.replicas says how many pods run")
    if facts.mode == "External":
        return _finding("False", Reason.EXTERNAL, "another autoscaler sets spec.scaling.replicas")
    if facts.state == "Paused":
        return _finding("False", Reason.PAUSED, "spec.state is Paused: the number of pods stays")
    if facts.decision is None:
        return _finding("Unknown", Reason.PENDING, "the number of pods has not been decided on yet")
    return _decided(facts.decision, facts.blocked_until)


def scaling_status(facts: ScalingFacts | None, *, ready: int, wanted: int, at: str) -> ScalingStatus:
    """status.scaling."""
    summary = f"{ready}/{wanted}"
    if facts is None:
        return ScalingStatus(desired_replicas=wanted, summary=summary)
    decision = facts.decision
    acts = facts.mode == "Auto" and not facts.dry_run and decision is not None
    return ScalingStatus(
        mode=facts.mode,
        dry_run=facts.dry_run,
        desired_replicas=wanted,
        summary=f"{summary}/{decision.policy.maximum}" if acts and decision is not None else summary,
        blocked_until=facts.blocked_until,
        blocks=facts.blocks,
        last_step=facts.last_step,
        last_decision=None if decision is None else published(decision, at),
    )


def step_news(step: ScalingStep) -> News:
    """The Event about a change of the number of pods."""
    return News("Warning" if step.reason in WARNINGS else "Normal", step.reason, step.message)


def _decided(decision: Decision, blocked_until: str | None) -> Finding:
    reason, message = decision.reason, decision.message
    if reason is Reason.ACTIVE:
        return _finding("True", reason, message)
    if reason is Reason.METRICS_UNAVAILABLE:
        return _finding("Unknown", reason, f"{message}: the number of pods stays")
    if reason is Reason.INEFFECTIVE and blocked_until is not None:
        message += f" (no more pods before {blocked_until})"
    return _finding("False", reason, message)


def _finding(status: Status, reason: Reason, message: str) -> Finding:
    return Finding(Condition.SCALING_ACTIVE, status, reason, message)
