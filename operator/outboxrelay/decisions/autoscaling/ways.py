"""The ways that the number of pods may go where no gate is shut: up, down, to zero. Each says if it is open."""

import math

from outboxrelay.decisions.autoscaling.gates import UP_SHARE
from outboxrelay.decisions.autoscaling.values import Estimate, Gate, Policy, Reading, State
from outboxrelay.decisions.backlog import rounded

UP_SECONDS = 15.0
DOWN_SECONDS = 60.0
DOWN_SHARE = 0.25


def ways(policy: Policy, reading: Reading, state: State, found: Estimate) -> tuple[Gate, Gate, Gate]:
    """Up, down and to zero."""
    return up(policy, reading, state, found), down(policy, reading, state), zero(policy, reading, state)


def is_needed(state: State, found: Estimate) -> bool:
    """Whether enough more pods are needed for a step to be worth it."""
    return (found.want or 0) > state.replicas and (found.pods or 0.0) > UP_SHARE * state.replicas


def up(policy: Policy, reading: Reading, state: State, found: Estimate) -> Gate:
    """More pods: at most twice as many, and not before the last step up has shown that it helps."""
    if found.pods is None:
        return _shut("ScaleUp", "what one pod delivers is not known yet")
    shown = f"{found.pods:.2f}" if found.pods < 100 else str(rounded(found.pods))
    if not is_needed(state, found):
        bound = f", and at most {policy.maximum} are allowed" if state.replicas >= policy.maximum else ""
        return _shut("ScaleUp", f"{shown} pods are needed; a step up needs more than 1.1 times {state.replicas}{bound}")
    if not (found.learned or reading.late(policy)):
        return _shut("ScaleUp", "no pod has had as much to do as it can, and no row is late")
    if not reading.seasoned:
        # What is delivered now is what a step is measured by: a pod that is still starting makes that little.
        return _shut("ScaleUp", "a pod runs for so short a time that it is not known yet what it delivers")
    if state.trial is not None:
        trial = state.trial
        detail = f"it is seen for up to 45 s whether the step from {trial.before} to {trial.after} pods helps"
        return _shut("ScaleUp", detail)
    if reading.now - state.raised_at < UP_SECONDS:
        return _shut("ScaleUp", "the last step up is less than 15 s ago")
    return Gate("ScaleUp", False, f"{shown} pods are needed, more than 1.1 times {state.replicas}")


def down(policy: Policy, reading: Reading, state: State) -> Gate:
    """Fewer pods: where the most that was wanted for a while is less, a quarter at a time."""
    seconds, since = policy.stabilization_seconds, state.wants_since
    if since is None or reading.now - since < seconds:
        return _shut("ScaleDown", f"what is wanted is not known for scaleDownStabilizationSeconds {seconds:.0f} yet")
    if lower(policy, state) >= state.replicas:
        most = max(want for _, want in state.wants)
        return _shut("ScaleDown", f"up to {most} pods were wanted in the last {seconds:.0f} s")
    if state.trial is not None:
        return _shut("ScaleDown", "the last step up has not shown yet whether it helps")
    if reading.now - state.lowered_at < DOWN_SECONDS:
        return _shut("ScaleDown", "the last step down is less than 60 s ago")
    return Gate("ScaleDown", False, f"no more than {lower(policy, state)} pods were wanted in the last {seconds:.0f} s")


def lower(policy: Policy, state: State) -> int:
    """Pods after a step down."""
    most = max(policy.lowest, max(want for _, want in state.wants))
    return max(most, state.replicas - quarter(state.replicas))


def quarter(replicas: int) -> int:
    """Pods that one step down takes away at most."""
    return max(1, math.floor(DOWN_SHARE * replicas))


def zero(policy: Policy, reading: Reading, state: State) -> Gate:
    """No pod: where that is allowed, the last one, after a time without anything to do."""
    if policy.minimum > 0:
        return _shut("ScaleToZero", f"minReplicas is {policy.minimum}")
    if state.silent_since is None:
        return _shut("ScaleToZero", "there is something to do")
    if reading.now - state.silent_since < policy.idle_seconds:
        return _shut("ScaleToZero", f"less than idleSeconds {policy.idle_seconds:.0f} without anything to do")
    if state.replicas > 1:
        return _shut("ScaleToZero", f"{state.replicas} pods become fewer first")
    return Gate("ScaleToZero", False, f"nothing was to be delivered for idleSeconds {policy.idle_seconds:.0f}")


def _shut(name: str, detail: str) -> Gate:
    return Gate(name, True, detail)
