"""How long to wait before something outside is tried again: exponential, with full jitter."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Bounds of the waits, in seconds."""

    initial: float
    maximum: float
    multiplier: float


def ceiling(policy: BackoffPolicy, failures: int) -> float:
    """The longest wait after ``failures`` failures in a row (1 = the first)."""
    if failures < 1:
        return 0.0
    # A bound on the exponent keeps the power finite for a system that is down for days.
    return float(min(policy.maximum, policy.initial * policy.multiplier ** min(failures - 1, 64)))


def backoff(policy: BackoffPolicy, failures: int, chance: float) -> float:
    """The wait after ``failures`` failures; ``chance`` from 0 to 1 spreads callers over it.

    Never shorter than half the initial wait: full jitter alone would let a run of small chances become a tight loop.
    """
    longest = ceiling(policy, failures)
    shortest = min(policy.initial / 2, longest)
    return shortest + (longest - shortest) * chance
