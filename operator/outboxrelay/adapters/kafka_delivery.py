"""One batch on its way: produced in order, waited for, its failures sorted by what is to be done about them.

All but ``hand_over`` runs in the publisher's thread. Nothing is polled, produced or raised inside a callback: they only
note.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from outboxrelay.adapters.kafka_errors import ErrorClass, class_of, fault_of, line_of, row_reason
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Header, Unmappable, mapped_headers
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId
from outboxrelay.errors import TargetFault

TICK_SECONDS = 0.1
PURGE_SECONDS = 2.0
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)

GiveUp = Callable[[], bool]
"""Asked all the time while a batch is on its way."""


class Delivery:
    """Sends batches through one producer."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        deadline: float,
        diagnose: Callable[[], TargetFault],
        give_up: GiveUp,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._deadline = deadline
        self._diagnose = diagnose
        self._give_up = give_up
        self._failed: dict[RowId, KafkaError] = {}
        self._fault: TargetFault | None = None
        self._stuck = False

    def begin(self) -> None:
        """Forget the batch before."""
        self._failed, self._fault = {}, None

    def hand_over(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first that needs a second look; how many. Never waits, so any thread may call it.

        Nearly every row takes this way, so it does nothing that only few of them need.
        """
        produce, topic, note = self._producer.produce, self._topic, self._note
        for position, (row_id, event_id, key, kind, payload, mapped, milliseconds, *_) in enumerate(rows):
            if mapped is not None or payload is None or kind is None or milliseconds is None:
                return position
            try:
                produce(
                    topic,
                    payload,
                    key,
                    on_delivery=partial(note, row_id),
                    timestamp=milliseconds,
                    headers=[("id", event_id), ("type", kind), ("sequence", str(row_id))],
                )
            except (BufferError, KafkaException):
                return position
        return len(rows)

    def send(self, rows: Sequence[Row], begun: int) -> Outcome:
        """Send ``rows``, of which ``begun`` were handed over; blocks until each is confirmed, refused or given up."""
        refused: dict[RowId, Refusal] = {}
        unsent = self._produce_all(rows[begun:], refused)
        fault = self._wait(0)
        if fault is None and not self._failed:
            return Refused(tuple(refused.values()), unsent, 0) if refused else Delivered()
        if fault is None:
            fault = self._worst()
        overtaken = 0
        if fault is None:
            fault, overtaken, more = self._one_by_one(rows, refused)
            unsent |= more
        if fault is not None:
            left = {*self._failed, *refused, *unsent}
            return Broken(fault, self._confirmed(rows, left))
        return Refused(tuple(refused.values()), frozenset(unsent), overtaken)

    def _produce_all(self, rows: Sequence[Row], refused: dict[RowId, Refusal]) -> frozenset[RowId]:
        """Hand every row to the producer, but none behind a refused row of its key. Returns those not handed over."""
        blocked: set[str] = set()
        unsent: set[RowId] = set()
        for position, row in enumerate(rows):
            row_id, key = row[ROW_ID], row[KEY]
            if key in blocked:
                unsent.add(row_id)
                continue
            refusal = self._produce(row)
            if refusal is not None:
                refused[row_id] = refusal
                if key is not None:
                    blocked.add(key)
            elif row_id in self._failed:
                # The producer takes nothing: rows behind this one must not get through after all.
                unsent.update(later[ROW_ID] for later in rows[position + 1 :])
                break
        return frozenset(unsent)

    def _produce(self, row: Row) -> Refusal | None:
        """Any row, however it is: waits where the queue is full, and says what is wrong with the row."""
        row_id, event_id, key, kind, payload, mapped, milliseconds = row[:7]
        if payload is None:
            return Refusal(row_id, Reason.ROW_UNMAPPABLE, "the payload is NULL; tombstones are not supported yet")
        headers: list[Header] = [("id", event_id), ("type", kind), ("sequence", str(row_id))]
        if kind is None:
            del headers[1]
        if mapped is not None:
            try:
                # The relay's own come last, where a consumer that asks for the last one of a name finds them.
                headers = mapped_headers(mapped) + headers
            except Unmappable as error:
                return Refusal(row_id, Reason.ROW_UNMAPPABLE, str(error))
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    payload,
                    key,
                    on_delivery=partial(self._note, row_id),
                    timestamp=milliseconds or 0,
                    headers=headers,
                )
            except BufferError:
                # The queue is full: the brokers are slower than this loop.
                if self._wait(len(self._producer) // 2) is not None:
                    self._failed[row_id] = KafkaError(KafkaError._QUEUE_FULL)
                    return None
            except KafkaException as error:
                return self._refused_here(row_id, error.args[0])
            else:
                return None

    def _refused_here(self, row_id: RowId, error: KafkaError) -> Refusal | None:
        if class_of(error) is ErrorClass.ROW:
            return Refusal(row_id, row_reason(error), f"not sent: {line_of(error)}")
        self._failed[row_id] = error
        return None

    def _note(self, row_id: RowId, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed[row_id] = error

    def _wait(self, most: int) -> TargetFault | None:
        """Until at most ``most`` rows are on their way; a fault when nothing was confirmed for the deadline."""
        left, moved_at = len(self._producer), time.monotonic()
        while left > most:
            if self._give_up():
                self._purge()
                self._fault = TargetFault(Reason.STOPPED, "delivery was given up")
            elif (remaining := self._producer.flush(TICK_SECONDS)) != left:
                left, moved_at = remaining, time.monotonic()
            elif time.monotonic() - moved_at >= self._deadline or self._worst() is not None:
                self._fault = self._worst() or self._diagnose()
                self._purge()
            if self._fault is not None:
                break
        return self._fault

    def _worst(self) -> TargetFault | None:
        """The fault behind a failure that is not a row's own."""
        for error in self._failed.values():
            if class_of(error) is not ErrorClass.ROW and error.code() not in PURGED:
                return fault_of(error)
        return None

    def _purge(self) -> None:
        """Give up what is on its way. Where even that does not end, nothing counts as confirmed."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._stuck = self._producer.flush(PURGE_SECONDS) > 0

    def _confirmed(self, rows: Sequence[Row], left: set[RowId]) -> tuple[RowId, ...]:
        return () if self._stuck else tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left)

    def _one_by_one(
        self, rows: Sequence[Row], refused: dict[RowId, Refusal]
    ) -> tuple[TargetFault | None, int, frozenset[RowId]]:
        """Send again, alone, each row that the brokers refused: they blame whole batches, innocents included.

        Returns a fault that ended it, how many rows were overtaken, and the rows that stay unsent.
        """
        blamed = [row for row in rows if row[ROW_ID] in self._failed]
        arrived = [row for row in rows if row[ROW_ID] not in self._failed and row[ROW_ID] not in refused]
        pending = {row[ROW_ID] for row in blamed}
        keys = {row[KEY]: row[ROW_ID] for row in reversed(blamed) if row[KEY] is not None}
        overtaken = sum(1 for row in arrived if row[KEY] in keys and row[ROW_ID] > keys[row[KEY]])
        blocked: set[str] = set()
        for row in blamed:
            key = row[KEY]
            if key is not None and key in blocked:
                continue
            self._failed = {}
            refusal = self._produce(row)
            fault = self._wait(0) or self._worst()
            if fault is not None:
                self._failed.update(dict.fromkeys(pending, KafkaError(KafkaError._PURGE_QUEUE)))
                return fault, overtaken, frozenset()
            error = self._failed.get(row[ROW_ID])
            if error is not None:
                refusal = Refusal(row[ROW_ID], row_reason(error), f"refused by the broker: {line_of(error)}")
            if refusal is not None:
                refused[row[ROW_ID]] = refusal
                if key is not None:
                    blocked.add(key)
            pending.discard(row[ROW_ID])
        self._failed = {}
        return None, overtaken, frozenset(pending - set(refused))
