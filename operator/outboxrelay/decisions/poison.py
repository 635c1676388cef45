"""What becomes of a row that cannot be sent: how long its key waits, and when it is moved aside."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from outboxrelay.decisions.rows import RowId

FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 600.0
FIRST_QUICK_RETRY_SECONDS = 1.0
"""A row that is to be moved aside is tried again soon: its key waits for that."""
MAX_HELD = 10_000
"""Keys in memory and in the read's predicate; beyond it the relay stops reading rather than grow."""

Action = Literal["HoldKey", "Quarantine", "DeadLetterTopic"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt to send one row that failed for the row's own sake."""

    row_id: RowId
    event_id: str
    key: str | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is remembered of a row that is not delivered yet."""

    row_id: RowId
    key: str | None
    started: int
    finished: int
    """An attempt that was started and never finished ended the process, or was under way when it ended."""


class Fate(StrEnum):
    """What happens to a row after an attempt failed."""

    RETRY = "retry"
    """It stays where it is, its key waits, and it is tried again."""
    QUARANTINE = "quarantine"
    BURY = "bury"
    """It goes to the dead letter topic."""


def fate(action: Action, attempts: int, most: int, *, only_in_place: bool) -> Fate:
    """The fate of a row of which ``attempts`` failed.

    ``only_in_place``: it ends the process, or is too large to be read, so that only the database can move it.
    """
    if action == "HoldKey" or attempts < most:
        return Fate.RETRY
    return Fate.BURY if action == "DeadLetterTopic" and not only_in_place else Fate.QUARANTINE


def retry_delay(action: Action, attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` of them failed."""
    exponent = min(max(attempts, 1) - 1, 10)
    if action != "HoldKey":
        return float(min(FIRST_RETRY_SECONDS, FIRST_QUICK_RETRY_SECONDS * 2**exponent))
    return float(min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2**exponent))


def is_full(held: int) -> bool:
    """Whether no further key can be held."""
    return held >= MAX_HELD
