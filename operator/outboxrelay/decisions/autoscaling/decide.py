"""The decision on the number of pods. The first gate that is shut decides; behind the gates it goes up, down or to
zero, or stays."""

from dataclasses import replace

from outboxrelay.api.names import Reason
from outboxrelay.decisions.autoscaling.estimate import busy_rate, estimate, followed, is_stale, learned
from outboxrelay.decisions.autoscaling.gates import UP_SHARE, blocked, gates, observed, postponed, tried
from outboxrelay.decisions.autoscaling.values import (
    Decision,
    Estimate,
    Gate,
    Policy,
    Reading,
    State,
    StepKind,
    Trial,
)
from outboxrelay.decisions.autoscaling.ways import down, is_needed, lower, quarter, ways

SATURATED_SECONDS = 60.0

Move = tuple[int, Reason, str, StepKind | None, State]
"""Pods, why, a sentence, what happens, and the state after it."""


def decide(policy: Policy, reading: Reading, state: State) -> tuple[Decision, State]:
    """How many pods there should be from now on, and what to remember of it."""
    before = state.replicas
    state = replace(state, replicas=policy.within(before))
    state = observed(policy, reading, followed(policy, reading, state))
    # The first five gates tell whether what is seen is what pods can do; the sixth is about the number of them.
    if any(gate.shut for gate in gates(policy, reading, state, estimate(policy, reading, state))[:5]):
        state = postponed(reading, state)
    else:
        state = learned(reading, tried(policy, reading, state))
    found = estimate(policy, reading, state)
    state = _remembered(policy, reading, state, found)
    asked, open_ways = gates(policy, reading, state, found), ways(policy, reading, state, found)
    desired, reason, message, step, state = _move(policy, reading, state, found, asked)
    if step is None and desired != before:
        step = "ScaledUp" if desired > before else "ScaledDown"
        message = f"scaling allows {policy.minimum} to {policy.maximum} pods"
    decision = Decision(
        at=reading.now,
        before=before,
        desired=desired,
        reason=reason,
        message=message,
        reading=reading,
        policy=policy,
        estimate=found,
        start_seconds=state.start_seconds,
        gates=asked,
        ways=open_ways,
        step=step,
        asleep=desired == 0,
    )
    return decision, replace(state, replicas=desired)


def _remembered(policy: Policy, reading: Reading, state: State, found: Estimate) -> State:
    """The state with what is wanted now; after a gap the window begins anew."""
    held = is_stale(policy, reading, state) or reading.target_fault or found.want is None
    if held or found.want is None:
        return replace(state, wants=(), wants_since=None)
    edge = reading.now - policy.stabilization_seconds
    kept = [item for item in state.wants if item[0] >= edge and item[1] > found.want]
    since = reading.now if state.wants_since is None else state.wants_since
    return replace(state, wants=(*kept, (reading.now, found.want)), wants_since=since)


def _move(policy: Policy, reading: Reading, state: State, found: Estimate, asked: tuple[Gate, ...]) -> Move:
    metrics, target, source, progress, recovery, effect = asked
    if not metrics.shut and state.replicas == 0 and reading.rows:
        state = replace(state, raised_at=reading.now, silent_since=None)
        return policy.lowest, Reason.ACTIVE, "a row came: a pod is started", "Woken", state
    first = next((gate for gate in asked if gate.shut), None)
    if first is None:
        return _free(policy, reading, state, found)
    if first in (metrics, target, recovery):
        return _stay(state, first)
    if first is source:
        return _relieved(policy, reading, state, first)
    if first is effect and state.trial is not None:
        trial = state.trial
        block = blocked(state.block, trial, reading.now)
        state = replace(state, trial=None, block=block, lowered_at=reading.now)
        return policy.within(trial.before), Reason(first.name), first.detail, "ScaleReverted", state
    assert first in (progress, effect)
    if down(policy, reading, state).shut:
        return _stay(state, first)
    return _lowered(policy, reading, state, Reason(first.name), first.detail)


def _stay(state: State, gate: Gate) -> Move:
    return state.replicas, Reason(gate.name), gate.detail, None, state


def _relieved(policy: Policy, reading: Reading, state: State, gate: Gate) -> Move:
    """Fewer pods for a database that has had too much to do for a while."""
    since = reading.now if state.saturated_since is None else state.saturated_since
    due = min(reading.now - since, reading.now - state.lowered_at) >= SATURATED_SECONDS
    fewer = max(min(policy.lowest, state.replicas), state.replicas - quarter(state.replicas))
    if not due or fewer >= state.replicas:
        return _stay(state, gate)
    return fewer, Reason(gate.name), gate.detail, "ScaledDown", replace(state, lowered_at=reading.now, trial=None)


def _free(policy: Policy, reading: Reading, state: State, found: Estimate) -> Move:
    """Up, down, to zero, or as it is: no gate is shut."""
    replicas = state.replicas
    more, fewer, none = ways(policy, reading, state, found)
    if not more.shut:
        return _raised(reading, state, found)
    if not fewer.shut:
        return _lowered(policy, reading, state, Reason.ACTIVE, "fewer pods suffice")
    if not none.shut and replicas == 1:
        state = replace(state, lowered_at=reading.now, trial=None)
        return 0, Reason.ACTIVE, f"{none.detail}: no pod runs until a row comes", "ScaledToZero", state
    # Said from a tenth above the maximum on until no more than that are needed: a need that sways is told once.
    enough = policy.maximum * (1.0 if state.lacking else UP_SHARE)
    lacking = found.learned and (found.pods or 0.0) > enough and replicas >= policy.maximum
    state = replace(state, lacking=lacking)
    if lacking:
        reason = Reason.BUDGET_EXHAUSTED if "maxConnections" in policy.maximum_from else Reason.AT_MAXIMUM
        return replicas, reason, f"more pods would be needed than {policy.maximum_from} allows", None, state
    if replicas == 0:
        return 0, Reason.ACTIVE, "nothing is to be delivered: no pod runs until a row comes", None, state
    waits = found.pods is None or is_needed(state, found)
    return replicas, Reason.ACTIVE, more.detail if waits else "the number of pods follows the backlog", None, state


def _raised(reading: Reading, state: State, found: Estimate) -> Move:
    replicas = state.replicas
    higher = min(found.want or 0, max(2 * replicas, replicas + 2))
    delivered = busy_rate(reading)
    promised = min((higher - replicas) * (found.capacity or 0.0), max(0.0, found.need - delivered))
    trial = Trial(reading.now, replicas, higher, delivered, promised)
    state = replace(state, trial=trial, raised_at=reading.now)
    return higher, Reason.ACTIVE, "more pods are needed to keep up", "ScaledUp", state


def _lowered(policy: Policy, reading: Reading, state: State, reason: Reason, message: str) -> Move:
    state = replace(state, lowered_at=reading.now, trial=None)
    return lower(policy, state), reason, message, "ScaledDown", state
