"""What keeps the number of pods from following the backlog: each gate finds out whether it is shut, and why."""

from dataclasses import replace

from outboxrelay.api.names import Reason
from outboxrelay.decisions.autoscaling.estimate import STALE_PERIODS, is_mute, is_old, is_stale
from outboxrelay.decisions.autoscaling.values import Block, Estimate, Gate, Policy, Reading, State, Trial
from outboxrelay.decisions.backlog import rounded

TRIAL_SECONDS = 45.0
SETTLED_SECONDS = 15.0
"""Pods that are ready for so long show in the rates."""
READY_SECONDS = 120.0
"""Pods that are not ready after so long bring nothing."""
SLOW_READ_SHARE = 0.5
"""A read that takes this share of the time after which it is given up is a sign of a database with too much to do."""
BLOCK_SECONDS = 600.0
LONGEST_BLOCK_SECONDS = 3600.0
UP_SHARE = 1.1
"""Fewer pods than this times what there is are not worth a step up."""


def observed(policy: Policy, reading: Reading, state: State) -> State:
    """The state with what the gates have to remember."""
    if is_stale(policy, reading, state):
        return replace(state, silent_since=None, saturated_since=None)
    now = reading.now
    silent = reading.rows == 0 and reading.exact and reading.delivered == 0
    return replace(
        state,
        target_down_at=now if reading.target_fault else state.target_down_at,
        saturated_since=_since(state.saturated_since, now) if _strained(policy, reading) else None,
        silent_since=_since(state.silent_since, now) if silent else None,
    )


def gates(policy: Policy, reading: Reading, state: State, found: Estimate) -> tuple[Gate, ...]:
    """The gates before a step, in order."""
    return (
        _metrics(policy, reading, state),
        _target(reading),
        _source(policy, reading),
        _progress(reading),
        _recovery(policy, reading, state),
        _effect(policy, reading, state, found),
    )


def tried(policy: Policy, reading: Reading, state: State) -> State:
    """The state with what is known now of the last step up: whether its pods are ready, whether it helps."""
    trial, now = state.trial, reading.now
    if trial is None:
        return state
    if trial.ready_at is None and reading.ready >= trial.after:
        trial = replace(trial, ready_at=now)
        seconds = min(60.0, max(1.0, now - trial.at))
        state = replace(state, start_seconds=state.start_seconds + 0.3 * (seconds - state.start_seconds))
    if _is_settled(reading, trial):
        trial = replace(trial, best=max(trial.best, reading.delivered))
    state = replace(state, trial=trial)
    if trial.best - trial.delivered >= policy.effectiveness * trial.promised:
        return replace(state, trial=None, block=Block())
    if _met(policy, reading):
        return replace(state, trial=None)
    return state


def postponed(reading: Reading, state: State) -> State:
    """The state in a moment that tells nothing of whether the last step up helps: its time begins anew."""
    trial = state.trial
    if trial is None:
        return state
    ready_at = None if trial.ready_at is None else reading.now
    return replace(state, trial=replace(trial, at=reading.now, ready_at=ready_at))


def failed(reading: Reading, trial: Trial | None) -> bool:
    """Whether the last step up has had its time and did not help."""
    if trial is None or reading.now - trial.at < TRIAL_SECONDS:
        return False
    return _is_settled(reading, trial) or reading.now - trial.at >= READY_SECONDS


def _is_settled(reading: Reading, trial: Trial) -> bool:
    """Whether what all pods tell is of the time since the last of them became ready. Before that the old ones' means
    still tell of the time before, in which they had the rows to themselves that the new ones tell of now: the sum is
    more than anybody delivers."""
    return trial.ready_at is not None and reading.now - trial.ready_at >= SETTLED_SECONDS


def blocked(block: Block, trial: Trial, now: float) -> Block:
    """The block after a step up that did not help."""
    seconds = min(LONGEST_BLOCK_SECONDS, BLOCK_SECONDS * 2.0 ** min(block.times, 8))
    return Block(now + seconds, block.times + 1, f"{trial.before} to {trial.after}")


def _met(policy: Policy, reading: Reading) -> bool:
    """Whether pods keep up, so that no more than what arrives can be delivered."""
    few = (reading.rows or 0) <= 10 * max(1.0, reading.delivered)
    return not reading.saturated and not reading.late(policy) and few


def _strained(policy: Policy, reading: Reading) -> str:
    if reading.source_fault:
        return reading.source_fault
    limit = SLOW_READ_SHARE * policy.statement_seconds
    if reading.read_seconds is not None and reading.read_seconds >= limit:
        return f"reads take more than half of statementTimeoutSeconds {policy.statement_seconds:.0f}"
    return ""


def _since(begun: float | None, now: float) -> float:
    return now if begun is None else begun


def _metrics(policy: Policy, reading: Reading, state: State) -> Gate:
    if reading.rows is None:
        detail = "the table has not been counted yet"
    elif is_old(policy, reading):
        detail = f"the table was not counted for {STALE_PERIODS * policy.period:.0f} s"
    elif is_mute(policy, reading, state):
        detail = "a pod that is ready does not tell how it is"
    else:
        detail = "no pod tells how it is"
    stale = is_stale(policy, reading, state)
    return Gate(Reason.METRICS_UNAVAILABLE, stale, detail if stale else "the table is counted and the pods answer")


def _target(reading: Reading) -> Gate:
    down = reading.target_fault
    return Gate(Reason.TARGET_DOWN, bool(down), f"Kafka cannot be used: {down}" if down else "Kafka can be used")


def _source(policy: Policy, reading: Reading) -> Gate:
    why = _strained(policy, reading)
    return Gate(Reason.SOURCE_SATURATED, bool(why), why or "the database answers in time")


def _progress(reading: Reading) -> Gate:
    if reading.unmoved:
        return Gate(Reason.NO_PROGRESS, True, "rows wait and none is delivered: more pods would not change that")
    if reading.errors and not reading.saturated:
        detail = f"{reading.errors}, and pods have time left: more of them would not change that"
        return Gate(Reason.NO_PROGRESS, True, detail)
    return Gate(Reason.NO_PROGRESS, False, "rows move" if reading.rows else "nothing waits")


def _recovery(policy: Policy, reading: Reading, state: State) -> Gate:
    if reading.slowed:
        return Gate(Reason.RECOVERY_RAMP, True, reading.slowed)
    if reading.now - state.target_down_at < policy.ramp_seconds:
        detail = f"Kafka was down less than recoveryRampSeconds {policy.ramp_seconds:.0f} ago"
        return Gate(Reason.RECOVERY_RAMP, True, detail)
    return Gate(Reason.RECOVERY_RAMP, False, "no pod holds itself back")


def _effect(policy: Policy, reading: Reading, state: State, found: Estimate) -> Gate:
    trial = state.trial
    if trial is not None and failed(reading, trial):
        gain = max(0.0, trial.best - trial.delivered)
        detail = (
            f"the step from {trial.before} to {trial.after} pods brought {rounded(gain)} of the "
            f"{rounded(trial.promised)} rows/s that it promised, less than effectivenessPercent "
            f"{policy.effectiveness * 100:.0f}"
        )
        if trial.ready_at is None:
            detail = f"the pods of the step from {trial.before} to {trial.after} did not become ready"
        return Gate(Reason.INEFFECTIVE, True, detail)
    more = found.pods is not None and found.pods > UP_SHARE * state.replicas
    if reading.now < state.block.until and more:
        detail = f"the step from {state.block.promise or 'fewer to more'} pods did not help: more are not tried yet"
        return Gate(Reason.INEFFECTIVE, True, detail)
    return Gate(Reason.INEFFECTIVE, False, "the last step up helped, or there was none")
