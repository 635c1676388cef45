"""How long delivered rows are kept, and how gently the old ones go: never more than a fifth of the time."""

from dataclasses import dataclass

from outboxrelay.api.source import Table
from outboxrelay.decisions.retries import BackoffPolicy, backoff

ARCHIVE_DAYS = 30
MOST_ROWS = 1000
FEWEST_ROWS = 10
SLOW_SECONDS = 0.5
"""A batch that takes longer is too large for this database."""
REST_FACTOR = 4.0
SHORTEST_PAUSE_SECONDS = 0.1
ROUND_SECONDS = 60.0
ROTATION_SECONDS = 3600.0
FAULTS = BackoffPolicy(initial=2.0, maximum=ROUND_SECONDS, multiplier=2.0)


@dataclass(frozen=True, slots=True)
class Step:
    """What the next batch is."""

    rows: int
    """At most so many."""
    pause: float
    """Seconds before it."""


def kept_seconds(table: Table) -> float | None:
    """Seconds for which delivered rows are kept; None: for good, or there is nothing to keep."""
    if table.after_delivery == "Archive":
        return float(table.retention_seconds or ARCHIVE_DAYS * 86_400)
    if table.after_delivery == "Mark" and table.retention_seconds is not None:
        return float(table.retention_seconds)
    return None


def after_batch(asked: int, deleted: int, seconds: float, chance: float) -> Step:
    """After a batch of at most ``asked`` rows, of which ``deleted`` were there, took ``seconds``."""
    rows = max(FEWEST_ROWS, asked // 2) if seconds > SLOW_SECONDS else min(MOST_ROWS, asked * 2)
    if deleted < asked:
        return Step(rows, _jittered(ROUND_SECONDS, chance))
    return Step(rows, max(SHORTEST_PAUSE_SECONDS, REST_FACTOR * seconds))


def after_rotation(busy: bool, chance: float) -> float:
    """Seconds until partitions are looked at again; ``busy``: one could not be dropped for somebody who reads it."""
    return _jittered(ROUND_SECONDS if busy else ROTATION_SECONDS, chance)


def after_fault(asked: int, failures: int, chance: float) -> Step:
    """After ``failures`` faults in a row: later, and less at once."""
    return Step(max(FEWEST_ROWS, asked // 4), backoff(FAULTS, failures, chance))


def _jittered(seconds: float, chance: float) -> float:
    return seconds * (0.9 + 0.2 * chance)
