"""When the table is read again: at once while it is full, rarely while it is empty."""

from dataclasses import dataclass

BREATH_SECONDS = 0.001
LONGEST_BREATH_SECONDS = 0.005
"""Between the end of one read and the next, where a doorbell makes looking again cheap."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """Bounds of the pause between reads, in seconds."""

    shortest: float
    longest: float


def pause_after(policy: PollPolicy, rows: int, full: bool, pause_before: float, chance: float) -> float:
    """Seconds from the start of a read to the start of the next one.

    ``pause_before`` is what this function returned last; ``chance`` from 0 to 1 keeps replicas out of step.
    """
    if full:
        return 0.0
    if rows:
        return policy.shortest
    doubled = max(policy.shortest, pause_before * 2)
    return max(policy.shortest, min(policy.longest, doubled) * (0.9 + 0.1 * chance))


def breath_after(seconds: float) -> float:
    """Seconds of rest after a read found rows that were delivered ``seconds`` after it began.

    Half as long as that, within bounds: on a machine that is loaded, rows are collected and go out together.
    """
    return min(max(BREATH_SECONDS, seconds / 2), LONGEST_BREATH_SECONDS)
