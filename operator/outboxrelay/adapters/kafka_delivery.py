"""One batch on its way: produced in order, waited for, its failures sorted by what is to be done about them.

All but ``hand_over`` runs in the publisher's thread. Nothing is polled, produced or raised inside a callback: they only
note.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from outboxrelay.adapters.kafka_errors import ErrorClass, class_of, fault_of, line_of, row_reason, topic_fault_of
from outboxrelay.adapters.kafka_topic import TopicBook
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper, Message
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rows import KEY, ROW_ID, SIZE, NarrowRow, Row, RowId
from outboxrelay.decisions.unmappable import Unmappable
from outboxrelay.errors import TargetFault, TopicFault

TICK_SECONDS = 0.1
PURGE_SECONDS = 2.0
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
RECORD_OVERHEAD_BYTES = 100
"""What a batch of one row adds to the key, value and headers that librdkafka counts, at most."""
HEADROOM_BYTES = 4096
"""A payload that leaves so much room need not be measured with its headers, which are a few hundred bytes."""

GiveUp = Callable[[], bool]
"""Asked all the time while a batch is on its way."""


class Delivery:
    """Sends batches through one producer.

    ``routed``: rows name their topic, and a topic that takes nothing holds up only its own rows. ``strict``: a row that
    is refused holds up every row behind it, not only those of its key. ``batch_bytes``: the producer's batches.
    """

    def __init__(
        self,
        producer: Producer,
        mapper: Mapper,
        book: TopicBook,
        *,
        routed: bool,
        strict: bool,
        batch_bytes: int,
        deadline: float,
        diagnose: Callable[[], TargetFault],
        give_up: GiveUp,
    ) -> None:
        self._producer = producer
        self._mapper = mapper
        self._book = book
        self._routed = routed
        self._strict = strict
        self._batch_bytes = batch_bytes
        self._deadline = deadline
        self._diagnose = diagnose
        self._give_up = give_up
        self._messages: Mapping[RowId, Message] = {}
        self._handed: list[Row] = []
        """Rows of this batch that took the short way, in order."""
        self._slots: list[Callable[[KafkaError | None, Report], None]] = []
        self._topics: dict[RowId, str] = {}
        self._failed: dict[RowId, KafkaError] = {}
        self._blocked: dict[str, TopicFault] = {}
        self._fault: TargetFault | None = None
        self._stuck = False
        self.spent = False
        """Whether another producer is needed for the next batch."""

    def begin(self, messages: Mapping[RowId, Message] | None = None) -> None:
        """Forget the batch before. ``messages`` are sent in place of what rows map to."""
        self._messages, self._handed = messages or {}, []
        self._topics, self._failed, self._blocked, self._fault = {}, {}, {}, None

    def hand_over(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first that needs a second look; how many. Never waits, so any thread may call it.

        Nearly every row takes this way, so it does nothing that only few of them need.
        """
        if not self._mapper.plain:
            return self._hand_over_mapped(rows)
        produce, topic = self._producer.produce, self._mapper.topic
        slots = self._slots_for(rows)
        position = 0
        for slot, row in zip(slots, cast("Sequence[NarrowRow]", rows), strict=True):
            row_id, event_id, key, kind, payload, milliseconds, _ = row
            if payload is None or kind is None or milliseconds is None:
                return position
            try:
                produce(
                    topic,
                    payload,
                    key,
                    on_delivery=slot,
                    timestamp=milliseconds,
                    headers=[("id", event_id), ("type", kind), ("sequence", str(row_id))],
                )
            except (BufferError, KafkaException, UnicodeError):
                return position
            position += 1
        return position

    def _slots_for(self, rows: Sequence[Row]) -> list[Callable[[KafkaError | None, Report], None]]:
        """A callback for each row, by its place in the batch; made once, for making one costs as much as a header."""
        first = len(self._handed)
        self._handed.extend(rows)
        while len(self._slots) < len(self._handed):
            self._slots.append(partial(self._note_slot, len(self._slots)))
        return self._slots[first : first + len(rows)]

    def _note_slot(self, position: int, error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            self._failed[self._handed[position][ROW_ID]] = error

    def _hand_over_mapped(self, rows: Sequence[Row]) -> int:
        for position, row in enumerate(rows):
            try:
                message = self._mapper.message(row)
                if self._routed and not self._surely_fits(message, row[SIZE]):
                    return position
                self._hand(row[ROW_ID], message)
            except (BufferError, KafkaException, Unmappable):
                return position
        return len(rows)

    def _surely_fits(self, message: Message, size: int | None) -> bool:
        limits = self._book.known(message.topic)
        return limits is not None and (size or 0) + len(message.key or "") < limits.max_message_bytes - HEADROOM_BYTES

    def send(self, rows: Sequence[Row], begun: int) -> Outcome:
        """Send ``rows``, of which ``begun`` were handed over; blocks until each is confirmed, refused or given up."""
        refused: dict[RowId, Refusal] = {}
        unsent = set(self._produce_all(rows[begun:], refused))
        self._wait(0)
        if self._fault is None and not self._failed and not unsent:
            return Refused(tuple(refused.values()), frozenset(), 0) if refused else Delivered()
        if self._fault is None:
            self._fault = self._worst()
        if self._fault is not None and self._routed and not self._stuck:
            self._fault = self._blame_topics(self._fault)
        overtaken = self._overtaken(rows, refused)
        unsent |= self._take_out_topics()
        if self._fault is None:
            unsent |= self._one_by_one(rows, refused)
        if self._fault is not None:
            left = {*self._failed, *refused, *unsent}
            return Broken(self._fault, self._confirmed(rows, left))
        return Refused(tuple(refused.values()), frozenset(unsent), overtaken, tuple(self._blocked.values()))

    def _produce_all(self, rows: Sequence[Row], refused: dict[RowId, Refusal]) -> frozenset[RowId]:
        """Hand every row to the producer, but none behind a refused row of its key. Returns those not handed over."""
        blocked: set[str] = set()
        unsent: set[RowId] = set()
        for position, row in enumerate(rows):
            row_id, lane = row[ROW_ID], self._lane(row)
            if lane is not None and lane in blocked:
                unsent.add(row_id)
                continue
            handed = self._produce(row)
            if isinstance(handed, Refusal):
                refused[row_id] = handed
                if lane is not None:
                    blocked.add(lane)
            elif self._fault is not None or row_id in self._failed or self.spent:
                # The producer takes nothing: rows behind this one must not get through after all.
                unsent.update(later[ROW_ID] for later in rows[position + (row_id in self._failed) :])
                break
            elif not handed:
                unsent.add(row_id)
        return frozenset(unsent)

    def _lane(self, row: Row) -> str | None:
        """Rows of one lane must not pass each other."""
        return "" if self._strict else row[KEY]

    def _produce(self, row: Row) -> Refusal | bool:
        """Any row, however it is: waits where the queue is full, and says what is wrong with the row.

        False where it was not handed over for a reason that is not its own: noted in ``_fault``, ``_failed``,
        ``_blocked`` or ``spent``.
        """
        row_id = row[ROW_ID]
        try:
            message = self._messages.get(row_id) or self._mapper.message(row)
        except Unmappable as error:
            return Refusal(row_id, error.reason, str(error))
        if self._routed:
            refusal = self._check_topic(row_id, message)
            if refusal is not True:
                return refusal
        while True:
            try:
                self._hand(row_id, message)
            except BufferError:
                # The queue is full: the brokers are slower than this loop.
                if self._wait(len(self._producer) // 2) is not None:
                    self._failed[row_id] = KafkaError(KafkaError._QUEUE_FULL)
                    return False
            except KafkaException as error:
                return self._refused_here(row_id, message, error.args[0])
            else:
                return True

    def _hand(self, row_id: RowId, message: Message) -> None:
        if self._routed:
            self._topics[row_id] = message.topic
        self._producer.produce(
            message.topic,
            message.value,
            message.key,
            message.partition,
            on_delivery=partial(self._note, row_id),
            timestamp=message.timestamp,
            headers=message.headers,
        )

    def _check_topic(self, row_id: RowId, message: Message) -> Refusal | bool:
        """Whether the topic takes the message."""
        topic = message.topic
        if topic in self._blocked:
            return False
        try:
            limits = self._book.learn(topic)
        except TopicFault as fault:
            if self._strict:
                self._fault = fault
            else:
                self._blocked[topic] = fault
            return False
        except TargetFault as fault:
            self._fault = fault
            return False
        if limits.max_message_bytes - RECORD_OVERHEAD_BYTES < self._batch_bytes:
            self.spent = True
            return False
        if (size := _bytes_of(message)) > limits.max_message_bytes - RECORD_OVERHEAD_BYTES:
            told = f"{size} bytes with key and headers, topic {topic} takes {limits.max_message_bytes}"
            return Refusal(row_id, Reason.ROW_TOO_LARGE, f"not sent: {told} (max.message.bytes)")
        return True

    def _refused_here(self, row_id: RowId, message: Message, error: KafkaError) -> Refusal | bool:
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            told = f"not sent: the row names partition {message.partition}, which topic {message.topic} does not have"
            return Refusal(row_id, row_reason(error), told)
        if class_of(error) is ErrorClass.ROW:
            return Refusal(row_id, row_reason(error), f"not sent: {line_of(error)}")
        self._failed[row_id] = error
        return False

    def _note(self, row_id: RowId, error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            self._failed[row_id] = error

    def _wait(self, most: int) -> TargetFault | None:
        """Until at most ``most`` rows are on their way; a fault when nothing was confirmed for the deadline."""
        left, moved_at = len(self._producer), time.monotonic()
        while left > most and self._fault is None:
            if self._give_up():
                self._fault = TargetFault(Reason.STOPPED, "delivery was given up")
                self._purge()
            elif (remaining := self._producer.flush(TICK_SECONDS)) != left:
                left, moved_at = remaining, time.monotonic()
            elif time.monotonic() - moved_at >= self._deadline or self._worst() is not None:
                self._fault = self._worst() or self._diagnose()
                self._purge()
        return self._fault

    def _worst(self) -> TargetFault | None:
        """The fault behind a failure that is not a row's own, nor that of one topic among others."""
        own = (ErrorClass.ROW, ErrorClass.TOPIC) if self._routed else (ErrorClass.ROW,)
        for error in self._failed.values():
            if class_of(error) not in own and error.code() not in PURGED:
                return fault_of(error)
        return None

    def _purge(self) -> None:
        """Give up what is on its way. Where even that does not end, nothing counts as confirmed."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._stuck = self._producer.flush(PURGE_SECONDS) > 0
        self.spent = True

    def _blame_topics(self, fault: TargetFault) -> TargetFault | None:
        """Whether it was only some topics that took nothing: they are blocked then, and the fault is none."""
        if fault.reason in (Reason.STOPPED, Reason.PRODUCER_FATAL):
            return fault
        silent = {self._topics[row_id] for row_id in self._failed if row_id in self._topics}
        for topic in sorted(silent - set(self._blocked)):
            try:
                self._book.look(topic)
            except TopicFault as found:
                self._blocked[topic] = found
            except TargetFault as found:
                return found
        return None if self._blocked else fault

    def _take_out_topics(self) -> set[RowId]:
        """Rows that failed because of their topic, or were given up for another's: not sent, as far as is known."""
        away: set[RowId] = set()
        if not self._routed or self._fault is not None:
            return away
        for row_id, error in list(self._failed.items()):
            topic = self._topics.get(row_id, "")
            if class_of(error) is ErrorClass.TOPIC and topic not in self._blocked:
                self._blocked[topic] = topic_fault_of(error, topic)
            if error.code() in PURGED or topic in self._blocked:
                away.add(row_id)
                del self._failed[row_id]
        return away

    def _overtaken(self, rows: Sequence[Row], refused: Mapping[RowId, Refusal]) -> int:
        """Rows that arrived although one before them in their lane did not."""
        first: dict[str, int] = {}
        overtaken = 0
        for position, row in enumerate(rows):
            lane = self._lane(row)
            if lane is None:
                continue
            if row[ROW_ID] in self._failed:
                first.setdefault(lane, position)
            elif lane in first and row[ROW_ID] not in refused:
                overtaken += 1
        return overtaken

    def _confirmed(self, rows: Sequence[Row], left: set[RowId]) -> tuple[RowId, ...]:
        return () if self._stuck else tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left)

    def _one_by_one(self, rows: Sequence[Row], refused: dict[RowId, Refusal]) -> set[RowId]:
        """Send again, alone, each row that the brokers refused: they blame whole batches, innocents included.

        Returns the rows that stay unsent; a fault that ended it is in ``_fault``.
        """
        blamed = [row for row in rows if row[ROW_ID] in self._failed]
        pending = {row[ROW_ID] for row in blamed}
        blocked: set[str] = set()
        for row in blamed:
            row_id, lane = row[ROW_ID], self._lane(row)
            if lane is not None and lane in blocked:
                continue
            self._failed = {}
            handed = self._produce(row)
            self._wait(0)
            self._fault = self._fault or self._worst()
            if self._fault is not None:
                self._failed.update(dict.fromkeys(pending, KafkaError(KafkaError._PURGE_QUEUE)))
                return set()
            error = self._failed.get(row_id)
            if error is not None:
                handed = Refusal(row_id, row_reason(error), f"refused by the broker: {line_of(error)}")
            if isinstance(handed, Refusal):
                refused[row_id] = handed
            if handed is not True and lane is not None:
                blocked.add(lane)
            if handed is True:
                pending.discard(row_id)
        self._failed = {}
        return pending - set(refused)


def _bytes_of(message: Message) -> int:
    """Bytes of key, value and headers as librdkafka counts them, from above."""
    texts = [message.key, message.value, *(part for header in message.headers for part in header)]
    return 10 * len(message.headers) + sum(
        len(text.encode()) if isinstance(text, str) else len(text or b"") for text in texts
    )
