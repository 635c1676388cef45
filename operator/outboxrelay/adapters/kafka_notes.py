"""What is known of the rows of one batch.

The producer's reports come in here. Nothing is polled, produced or raised inside a callback: it only notes, and it
refers to no producer, which would keep that alive for long.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError
from confluent_kafka import Message as Report

from outboxrelay.decisions.outcomes import Refusal
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId

if TYPE_CHECKING:
    from outboxrelay.errors import TargetFault, TopicFault

Callback = Callable[[KafkaError | None, Report], None]


class Notes:
    """For one batch after the other.

    ``strict``: a row that is refused holds up every row behind it, not only those of its key.
    """

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.spent = False
        """Whether another producer is needed for the next batch."""
        self.stuck = False
        """Whether it is unknown what arrived."""
        self._slots: list[Callback] = []
        self.begin()

    def begin(self) -> None:
        """Forget the batch before."""
        self.refused: dict[RowId, Refusal] = {}
        self.too_large: dict[RowId, str] = {}
        """Those of them that are too large for a topic, as far as is known."""
        self.held: set[str] = set()
        """Lanes in which a row was refused before it was sent."""
        self.unsent: set[RowId] = set()
        """Rows that were not handed over for a reason that is not their own."""
        self.failed: dict[RowId, KafkaError] = {}
        self.topics: dict[RowId, str] = {}
        """Where rows that were handed over go, where rows name their topic."""
        self.blocked: dict[str, TopicFault] = {}
        """Topics that take nothing."""
        self.fault: TargetFault | None = None
        """Why nothing more can be delivered."""
        self._handed: list[Row] = []

    def end(self) -> None:
        """No batch follows: the callbacks refer back to this, which would keep its rows for long."""
        self._slots = []
        self.begin()

    def lane(self, row: Row) -> str | None:
        """Rows of one lane must not pass each other."""
        return "" if self.strict else row[KEY]

    def is_held(self, row: Row) -> bool:
        """Whether a row before ``row`` in its lane was refused."""
        return self.lane(row) in self.held

    def refuse(self, row: Row, refusal: Refusal) -> None:
        """``row`` cannot be sent, and what is behind it must wait."""
        self.refused[refusal.row_id] = refusal
        if (lane := self.lane(row)) is not None:
            self.held.add(lane)

    def callback(self, row_id: RowId) -> Callback:
        """For the report of one row."""
        return partial(self._note, row_id)

    def callbacks(self, rows: Sequence[Row]) -> list[Callback]:
        """For the reports of ``rows``, by their places in the batch. Those that are not used are given back.

        Made once for all batches: making one costs as much as a header.
        """
        first = len(self._handed)
        self._handed.extend(rows)
        while len(self._slots) < len(self._handed):
            self._slots.append(partial(self._note_slot, len(self._slots)))
        return self._slots[first : first + len(rows)]

    def give_back(self, callbacks: int) -> None:
        """The last so many are not used after all."""
        del self._handed[len(self._handed) - callbacks :]

    def overtaken(self, rows: Sequence[Row]) -> int:
        """Rows that arrived although one before them in their lane did not."""
        waiting: set[str] = set()
        left = {*self.refused, *self.unsent}
        overtaken = 0
        for row in () if self.stuck else rows:
            lane = self.lane(row)
            if lane is None:
                continue
            if row[ROW_ID] in self.failed:
                waiting.add(lane)
            elif lane in waiting and row[ROW_ID] not in left:
                overtaken += 1
        return overtaken

    def confirmed(self, rows: Sequence[Row]) -> tuple[RowId, ...]:
        """Rows that arrived."""
        left = {*self.failed, *self.refused, *self.unsent}
        return () if self.stuck else tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left)

    def _note(self, row_id: RowId, error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            self.failed[row_id] = error

    def _note_slot(self, position: int, error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            self.failed[self._handed[position][ROW_ID]] = error
