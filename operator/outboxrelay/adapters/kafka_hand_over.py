"""Rows into the producer: the short way of nearly all of them, and what is known at once of those that cannot go."""

from collections.abc import Mapping, Sequence
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Producer

from outboxrelay.adapters.kafka_config import RECORD_OVERHEAD_BYTES
from outboxrelay.adapters.kafka_errors import ErrorClass, class_of, line_of, row_reason
from outboxrelay.adapters.kafka_notes import Notes
from outboxrelay.adapters.kafka_topic import TopicBook
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper, Message
from outboxrelay.decisions.outcomes import Refusal
from outboxrelay.decisions.rows import KEY, ROW_ID, SIZE, NarrowRow, Row, RowId
from outboxrelay.decisions.unmappable import Unmappable
from outboxrelay.errors import TargetFault, TopicFault

HEADROOM_BYTES = 4096
"""A payload that leaves so much room need not be measured with its headers, which are a few hundred bytes."""


class HandOver:
    """``routed``: rows name their topic. ``batch_bytes``: the producer's batches."""

    def __init__(
        self, producer: Producer, mapper: Mapper, book: TopicBook, notes: Notes, *, routed: bool, batch_bytes: int
    ) -> None:
        self._producer = producer
        self._mapper = mapper
        self._book = book
        self._notes = notes
        self._routed = routed
        self._batch_bytes = batch_bytes
        self._messages: Mapping[RowId, Message] = {}

    def begin(self, messages: Mapping[RowId, Message]) -> None:
        """``messages`` are sent in place of what rows map to."""
        self._messages = messages

    def at_once(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first for which something must be asked or waited for; how many were seen to.

        Never waits, so any thread may call it.
        """
        # A row whose id is no number has no place in a sequence, which the short way sends.
        plain = self._mapper.plain and not (rows and isinstance(rows[0][ROW_ID], str))
        produce = self._plain if plain else self._mapped
        position = produce(rows)
        while position < len(rows) and self._see_to(rows[position]):
            position += 1
            position += produce(rows[position:])
        return position

    def message(self, row: Row) -> Message | Refusal | None:
        """What ``row`` is sent as, or why it cannot be; None where it is not the row's fault that it must wait: noted.

        Asks brokers where a topic is not known.
        """
        try:
            message = self._messages.get(row[ROW_ID]) or self._mapper.message(row)
        except Unmappable as error:
            return Refusal(row[ROW_ID], error.reason, str(error))
        if self._routed:
            refusal = self._check_topic(row[ROW_ID], message)
            if refusal is not True:
                return refusal or None
        return message

    def produce(self, row_id: RowId, message: Message) -> None:
        """Raises BufferError where the queue is full, KafkaException where the client does not take it."""
        if self._routed:
            self._notes.topics[row_id] = message.topic
        self._producer.produce(
            message.topic,
            message.value,
            message.key,
            message.partition,
            on_delivery=self._notes.callback(row_id),
            timestamp=message.timestamp,
            headers=message.headers,
        )

    def refusal(self, row_id: RowId, message: Message, error: KafkaError) -> Refusal | None:
        """Why the client does not take the row; None where that is not the row's fault."""
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            told = f"not sent: the row names partition {message.partition}, which topic {message.topic} does not have"
            return Refusal(row_id, row_reason(error), told)
        if class_of(error) is ErrorClass.ROW:
            if row_reason(error) == Reason.ROW_TOO_LARGE:
                self._notes.too_large[row_id] = message.topic
            return Refusal(row_id, row_reason(error), f"not sent: {line_of(error)}")
        return None

    def _plain(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first that needs a second look.

        Nearly every row takes this way, so it does nothing that only few of them need.
        """
        produce, topic = self._producer.produce, self._mapper.topic
        callbacks, held, strict = self._notes.callbacks(rows), self._notes.held, self._notes.strict
        position = 0
        for callback, row in zip(callbacks, cast("Sequence[NarrowRow]", rows), strict=True):
            row_id, event_id, key, kind, payload, milliseconds, _ = row
            if payload is None or kind is None or milliseconds is None or (held and (strict or key in held)):
                break
            try:
                produce(
                    topic,
                    payload,
                    key,
                    on_delivery=callback,
                    timestamp=milliseconds,
                    headers=[("id", event_id), ("type", kind), ("sequence", str(row_id))],
                )
            except (BufferError, KafkaException, UnicodeError):
                break
            position += 1
        self._notes.give_back(len(rows) - position)
        return position

    def _mapped(self, rows: Sequence[Row]) -> int:
        held, strict = self._notes.held, self._notes.strict
        for position, row in enumerate(rows):
            if held and (strict or row[KEY] in held):
                return position
            try:
                message = self._mapper.message(row)
                if self._routed and not self._surely_fits(message, row[SIZE]):
                    return position
                self.produce(row[ROW_ID], message)
            except (BufferError, KafkaException, Unmappable):
                return position
        return len(rows)

    def _see_to(self, row: Row) -> bool:
        """Whether it is known, without asking anybody, what becomes of ``row``; it is handed over, refused or left.

        So that few rows that cannot be sent do not send the others of their batch the long way.
        """
        row_id = row[ROW_ID]
        if self._notes.is_held(row):
            self._notes.unsent.add(row_id)
            return True
        try:
            message = self._mapper.message(row)
        except Unmappable as error:
            self._notes.refuse(row, Refusal(row_id, error.reason, str(error)))
            return True
        if self._routed:
            found = self._book.known(message.topic) is not None and self._check_topic(row_id, message)
            if isinstance(found, Refusal):
                self._notes.refuse(row, found)
            if found is not True:
                return isinstance(found, Refusal)
        try:
            self.produce(row_id, message)
        except BufferError:
            return False
        except KafkaException as error:
            refusal = self.refusal(row_id, message, error.args[0])
            if refusal is not None:
                self._notes.refuse(row, refusal)
            return refusal is not None
        return True

    def _surely_fits(self, message: Message, size: int | None) -> bool:
        limits = self._book.known(message.topic)
        return limits is not None and (size or 0) + len(message.key or "") < limits.max_message_bytes - HEADROOM_BYTES

    def _check_topic(self, row_id: RowId, message: Message) -> Refusal | bool:
        """Whether the topic takes the message."""
        topic = message.topic
        if topic in self._notes.blocked:
            return False
        try:
            limits = self._book.learn(topic)
        except TopicFault as fault:
            if self._notes.strict:
                self._notes.fault = fault
            else:
                self._notes.blocked[topic] = fault
            return False
        except TargetFault as fault:
            self._notes.fault = fault
            return False
        if limits.max_message_bytes - RECORD_OVERHEAD_BYTES < self._batch_bytes:
            self._notes.spent = True
            return False
        if (size := _bytes_of(message)) > limits.max_message_bytes - RECORD_OVERHEAD_BYTES:
            self._notes.too_large[row_id] = topic
            told = f"{size} bytes with key and headers, topic {topic} takes {limits.max_message_bytes}"
            return Refusal(row_id, Reason.ROW_TOO_LARGE, f"not sent: {told} (max.message.bytes)")
        return True


def _bytes_of(message: Message) -> int:
    """Bytes of key, value and headers as librdkafka counts them, from above."""
    texts = [message.key, message.value, *(part for header in message.headers for part in header)]
    return 10 * len(message.headers) + sum(
        len(text.encode()) if isinstance(text, str) else len(text or b"") for text in texts
    )
