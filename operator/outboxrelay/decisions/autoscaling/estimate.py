"""What is needed, from what waits, what arrives, and what one pod can do."""

import math
from dataclasses import replace

from outboxrelay.decisions.autoscaling.values import Estimate, Policy, Reading, State

ARRIVAL_SECONDS = 15.0
"""Over how long arrivals are measured: what is delivered and what the backlog grows by, both over the same time."""
LEARNING_SHARE = 0.2
"""Weight of what is seen now in what one pod is known to deliver."""
LEAST_BUSY = 0.05
MANY_PODS = 1e6
STALE_PERIODS = 3
SLACK_SECONDS = 1.0
"""Looks are spread by chance: one that is a little older still counts."""


def is_old(policy: Policy, reading: Reading) -> bool:
    """Whether the table was not counted lately."""
    return reading.rows is None or reading.now - reading.counted_at > STALE_PERIODS * policy.period


def is_mute(policy: Policy, reading: Reading, state: State) -> bool:
    """Whether pods do not tell how they are; a pod that has just become ready has some time to be asked."""
    since = state.mute_since
    return reading.silent > 0 and since is not None and reading.now - since >= STALE_PERIODS * policy.period


def is_stale(policy: Policy, reading: Reading, state: State) -> bool:
    """Whether what was observed says nothing of now."""
    nobody = state.replicas > 0 and reading.told == 0
    return is_old(policy, reading) or nobody or is_mute(policy, reading, state)


def followed(policy: Policy, reading: Reading, state: State) -> State:
    """The state with the newest count."""
    mute = None if reading.silent == 0 else (reading.now if state.mute_since is None else state.mute_since)
    state = replace(state, mute_since=mute)
    if is_stale(policy, reading, state) or reading.rows is None:
        return replace(state, counts=())
    counts = state.counts
    if not counts or counts[-1][0] < reading.counted_at:
        counts = (*counts, (reading.counted_at, reading.rows, reading.delivered))
    edge = counts[-1][0] - ARRIVAL_SECONDS - SLACK_SECONDS
    return replace(state, counts=tuple(item for item in counts if item[0] >= edge))


def learned(reading: Reading, state: State) -> State:
    """The state after what one pod delivers now; only for moments in which nothing holds pods back."""
    if not (reading.seasoned and reading.told and reading.delivered > 0):
        return state
    known, seen = state.capacity, busy_rate(reading) / reading.told
    if known is None:
        return replace(state, capacity=seen) if reading.saturated else state
    # Without saturation it is a lower bound only: small batches take more time for each row. Where even that is more
    # than what is known, rows became lighter or the brokers faster.
    if reading.saturated or seen > known:
        return replace(state, capacity=known + LEARNING_SHARE * (seen - known))
    return state


def estimate(policy: Policy, reading: Reading, state: State) -> Estimate:
    """What is needed now."""
    rows = reading.rows or 0
    arriving = _arriving(reading, state)
    capacity = state.capacity
    if capacity is None and reading.told and reading.delivered > 0:
        capacity = busy_rate(reading) / reading.told
    need = rows / policy.drain_seconds
    need += arriving * state.start_seconds / policy.drain_seconds
    need += arriving / policy.utilization
    if reading.late(policy) and reading.delivered > 0:
        need = max(need, rows / max(5.0, policy.max_lag))
    pods = min(need / capacity, MANY_PODS) if capacity else (0.0 if need == 0 else None)
    want = None
    if pods is not None:
        lowest = policy.lowest if rows or arriving else policy.minimum
        want = max(lowest, min(policy.maximum, math.ceil(pods - 1e-9)))
    return Estimate(arriving, capacity, state.capacity is not None, need, pods, want)


def busy_rate(reading: Reading) -> float:
    """Rows per second of all pods while they are busy: what is delivered is a mean of seconds without rows too."""
    return reading.delivered / max(reading.busy, reading.full, LEAST_BUSY)


def _arriving(reading: Reading, state: State) -> float:
    """Rows per second that come: those delivered, and those by which the backlog grew."""
    if len(state.counts) < 2:
        return reading.delivered
    (first_at, first_rows, _), (last_at, last_rows, _) = state.counts[0], state.counts[-1]
    # Each rate is a mean of about ten seconds before its time: the first one is of before the first count.
    rates = [rate for _, _, rate in state.counts[1:]]
    grown = (last_rows - first_rows) / (last_at - first_at)
    return max(0.0, sum(rates) / len(rates) + grown)
