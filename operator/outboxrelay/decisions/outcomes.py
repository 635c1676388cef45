"""What can become of a batch that was handed to the publisher: a closed union, matched with assert_never."""

from dataclasses import dataclass

from outboxrelay.api.names import Reason
from outboxrelay.decisions.rows import Row, RowId
from outboxrelay.errors import TargetFault, TopicFault


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that cannot be sent, and why."""

    row_id: RowId
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row for the dead letter topic."""

    row: Row
    refusal: Refusal
    attempts: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """The brokers confirmed every row."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Some rows can never be sent; every row that is not named here was confirmed."""

    refusals: tuple[Refusal, ...]
    unsent: frozenset[RowId]
    """Rows of the same keys behind them, which were not sent."""
    overtaken: int
    """Rows that arrived although a row before them with the same key was then refused by the broker."""
    blocked: tuple[TopicFault, ...] = ()
    """Topics that take nothing now, where rows name their topic; their rows are among ``unsent``."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The brokers or the topic take nothing now; start again from the table."""

    fault: TargetFault
    confirmed: tuple[RowId, ...]
    """Rows that were confirmed before."""
    overtaken: int = 0
    """Of those, rows behind one of the same key that was not."""


Outcome = Delivered | Refused | Broken
