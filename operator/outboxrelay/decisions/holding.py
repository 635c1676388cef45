"""When a row that cannot be sent is tried again, and how many such rows a relay can bear."""

FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 600.0
MAX_HELD = 10_000
"""Keys in memory and in the read's predicate; beyond it the relay stops reading rather than grow."""


def retry_delay(attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` of them failed."""
    return float(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(max(attempts, 1) - 1, 10)))


def is_full(held: int) -> bool:
    """Whether no further key can be held."""
    return held >= MAX_HELD
