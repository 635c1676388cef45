"""One batch on its way: produced in order, waited for, its failures sorted by what is to be done about them.

All but ``hand_over`` runs in the publisher's thread. Nothing is polled, produced or raised inside a callback: they only
note.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from outboxrelay.adapters.kafka_config import RECORD_OVERHEAD_BYTES
from outboxrelay.adapters.kafka_errors import (
    ErrorClass,
    class_of,
    ended_by,
    fault_of,
    line_of,
    row_reason,
    topic_fault_of,
)
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
        self._refused: dict[RowId, Refusal] = {}
        self._too_large: dict[RowId, str] = {}
        """Those of them that are too large for a topic, as far as is known."""
        self._held: set[str] = set()
        """Lanes in which a row was refused before it was sent."""
        self._unsent: set[RowId] = set()
        """Rows that were not handed over for a reason that is not their own."""
        self._failed: dict[RowId, KafkaError] = {}
        self._blocked: dict[str, TopicFault] = {}
        self._fault: TargetFault | None = None
        self._ended: KafkaError | None = None
        """Why librdkafka ended the producer."""
        self._stuck = False
        """Whether it is unknown what arrived."""
        self.spent = False
        """Whether another producer is needed for the next batch."""

    def end(self) -> None:
        """Nothing more is sent: the callbacks refer back to this, which would keep the producer alive for long."""
        self._slots, self._handed = [], []

    def begin(self, messages: Mapping[RowId, Message] | None = None) -> None:
        """Forget the batch before. ``messages`` are sent in place of what rows map to."""
        self._messages, self._handed = messages or {}, []
        self._topics, self._failed, self._blocked, self._fault = {}, {}, {}, None
        self._refused, self._too_large, self._held, self._unsent = {}, {}, set(), set()

    def hand_over(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first for which something must be asked or waited for; how many were seen to.

        Never waits, so any thread may call it.
        """
        # A row whose id is no number has no place in a sequence, which the short way sends.
        plain = self._mapper.plain and not (rows and isinstance(rows[0][ROW_ID], str))
        hand_over = self._hand_over_plain if plain else self._hand_over_mapped
        position = hand_over(rows)
        while position < len(rows) and self._see_to(rows[position]):
            position += 1
            position += hand_over(rows[position:])
        return position

    def _hand_over_plain(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first that needs a second look.

        Nearly every row takes this way, so it does nothing that only few of them need.
        """
        produce, topic = self._producer.produce, self._mapper.topic
        slots, held, strict = self._slots_for(rows), self._held, self._strict
        position = 0
        for slot, row in zip(slots, cast("Sequence[NarrowRow]", rows), strict=True):
            row_id, event_id, key, kind, payload, milliseconds, _ = row
            if payload is None or kind is None or milliseconds is None or (held and (strict or key in held)):
                break
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
                break
            position += 1
        del self._handed[len(self._handed) - len(rows) + position :]
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
        held, strict = self._held, self._strict
        for position, row in enumerate(rows):
            if held and (strict or row[KEY] in held):
                return position
            try:
                message = self._mapper.message(row)
                if self._routed and not self._surely_fits(message, row[SIZE]):
                    return position
                self._hand(row[ROW_ID], message)
            except (BufferError, KafkaException, Unmappable):
                return position
        return len(rows)

    def _see_to(self, row: Row) -> bool:
        """Whether it is known, without asking anybody, what becomes of ``row``; it is handed over, refused or left.

        So that few rows that cannot be sent do not send the others of their batch the long way.
        """
        row_id, lane = row[ROW_ID], self._lane(row)
        if lane is not None and lane in self._held:
            self._unsent.add(row_id)
            return True
        try:
            message = self._mapper.message(row)
        except Unmappable as error:
            return self._refuse(row, Refusal(row_id, error.reason, str(error)))
        if self._routed:
            found = self._book.known(message.topic) is not None and self._check_topic(row_id, message)
            if found is not True:
                return isinstance(found, Refusal) and self._refuse(row, found)
        try:
            self._hand(row_id, message)
        except BufferError:
            return False
        except KafkaException as error:
            refusal = self._refusal_here(row_id, message, error.args[0])
            return refusal is not None and self._refuse(row, refusal)
        return True

    def _refuse(self, row: Row, refusal: Refusal) -> bool:
        self._refused[refusal.row_id] = refusal
        if (lane := self._lane(row)) is not None:
            self._held.add(lane)
        return True

    def _surely_fits(self, message: Message, size: int | None) -> bool:
        limits = self._book.known(message.topic)
        return limits is not None and (size or 0) + len(message.key or "") < limits.max_message_bytes - HEADROOM_BYTES

    def send(self, rows: Sequence[Row], begun: int) -> Outcome:
        """Send ``rows``, of which ``begun`` were handed over; blocks until each is confirmed, refused or given up."""
        self._produce_all(rows[begun:])
        # The brokers take what is on its way while one of them is asked.
        self._reconsider()
        refused, unsent = self._refused, self._unsent
        self._wait(0)
        if self._fault is None and not self._failed:
            if not (refused or unsent):
                return Delivered()
            return Refused(tuple(refused.values()), frozenset(unsent), 0, tuple(self._blocked.values()))
        if self._fault is None:
            self._flush(0)
            self._fault = self._worst()
        if self._fault is not None and self._routed and not self._stuck:
            self._fault = self._blame_topics(self._fault)
        overtaken = self._overtaken(rows, {*refused, *unsent})
        away = self._take_out_topics()
        unsent |= away
        if self._fault is None:
            unsent |= self._one_by_one(rows, refused, away)
        if self._fault is not None:
            left = {*self._failed, *refused, *unsent}
            return Broken(self._fault, self._confirmed(rows, left), overtaken)
        return Refused(tuple(refused.values()), frozenset(unsent), overtaken, tuple(self._blocked.values()))

    def _reconsider(self) -> None:
        """Rows that are too large only for what a topic took a while ago are not refused; another producer sends them.

        Whoever raises a limit and tries again at once must not be told what the limit was before.
        """
        raised = {topic for topic in set(self._too_large.values()) if self._book.was_raised(topic)}
        again = {row_id for row_id, topic in self._too_large.items() if topic in raised}
        self._refused = {row_id: refusal for row_id, refusal in self._refused.items() if row_id not in again}
        self._unsent |= again
        self.spent = self.spent or bool(raised)

    def _produce_all(self, rows: Sequence[Row]) -> None:
        """Hand every row to the producer, but none behind a refused row of its key; notes those not handed over."""
        for position, row in enumerate(rows):
            row_id, lane = row[ROW_ID], self._lane(row)
            if lane is not None and lane in self._held:
                self._unsent.add(row_id)
                continue
            handed = self._produce(row)
            if isinstance(handed, Refusal):
                self._refuse(row, handed)
            elif self._fault is not None or row_id in self._failed or self.spent:
                # The producer takes nothing: rows behind this one must not get through after all.
                self._unsent.update(later[ROW_ID] for later in rows[position + (row_id in self._failed) :])
                break
            elif not handed:
                self._unsent.add(row_id)

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
            self._too_large[row_id] = topic
            told = f"{size} bytes with key and headers, topic {topic} takes {limits.max_message_bytes}"
            return Refusal(row_id, Reason.ROW_TOO_LARGE, f"not sent: {told} (max.message.bytes)")
        return True

    def _refused_here(self, row_id: RowId, message: Message, error: KafkaError) -> Refusal | bool:
        refusal = self._refusal_here(row_id, message, error)
        if refusal is None:
            self._failed[row_id] = error
        return refusal or False

    def _refusal_here(self, row_id: RowId, message: Message, error: KafkaError) -> Refusal | None:
        """Why the client does not take the row; None where that is not the row's fault."""
        if error.code() == KafkaError._UNKNOWN_PARTITION:
            told = f"not sent: the row names partition {message.partition}, which topic {message.topic} does not have"
            return Refusal(row_id, row_reason(error), told)
        if class_of(error) is ErrorClass.ROW:
            if row_reason(error) == Reason.ROW_TOO_LARGE:
                self._too_large[row_id] = message.topic
            return Refusal(row_id, row_reason(error), f"not sent: {line_of(error)}")
        return None

    def _note(self, row_id: RowId, error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            self._failed[row_id] = error

    def _wait(self, most: int) -> TargetFault | None:
        """Until at most ``most`` rows are on their way; a fault when nothing was confirmed for the deadline.

        A fault that is noted already, of a topic behind them, changes nothing for rows that are on their way.
        """
        found: TargetFault | None = None
        left, moved_at = len(self._producer), time.monotonic()
        while left > most and found is None:
            if self._give_up():
                found = TargetFault(Reason.STOPPED, "delivery was given up")
            elif self._worst() is None and (remaining := self._flush(TICK_SECONDS)) != left:
                left, moved_at = remaining, time.monotonic()
            elif self._worst() is not None or time.monotonic() - moved_at >= self._deadline:
                found = self._worst() or self._diagnose()
        if found is not None:
            self._purge()
            # Only now it may be known why the producer ended.
            self._fault = self._fault or (found if self._ended is None else fault_of(self._ended))
        return found

    def _flush(self, seconds: float) -> int:
        """Wait so long at most; how many rows are still on their way."""
        try:
            return self._producer.flush(seconds)
        except (KafkaException, SystemError) as raised:
            # Reports that were due at that moment are lost: what arrived is unknown from now on.
            self._ended = ended_by(raised)
            self._stuck = self.spent = True
            return len(self._producer)

    def _worst(self) -> TargetFault | None:
        """The fault behind a failure that is not a row's own, nor that of one topic among others."""
        if self._ended is not None:
            return fault_of(self._ended)
        own = (ErrorClass.ROW, ErrorClass.TOPIC) if self._routed else (ErrorClass.ROW,)
        for error in self._failed.values():
            if class_of(error) not in own and error.code() not in PURGED:
                return fault_of(error)
        return None

    def _purge(self) -> None:
        """Give up what is on its way. Where even that does not end, nothing counts as confirmed."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._stuck = self._flush(PURGE_SECONDS) > 0 or self._stuck
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
        return None if silent.intersection(self._blocked) else fault

    def _take_out_topics(self) -> set[RowId]:
        """Rows that failed because of their topic, or were given up for another's: not sent, as far as is known."""
        away: set[RowId] = set()
        if not self._routed or self._fault is not None:
            return away
        for row_id, error in list(self._failed.items()):
            topic = self._topics.get(row_id, "")
            if class_of(error) is ErrorClass.TOPIC and topic not in self._blocked:
                self._blocked[topic] = topic_fault_of(error, topic)
            if class_of(error) is not ErrorClass.ROW or topic in self._blocked:
                away.add(row_id)
                del self._failed[row_id]
        return away

    def _overtaken(self, rows: Sequence[Row], left: Collection[RowId]) -> int:
        """Rows that arrived although one before them in their lane did not; ``left`` were not handed over."""
        waiting: set[str] = set()
        overtaken = 0
        for row in () if self._stuck else rows:
            lane = self._lane(row)
            if lane is None:
                continue
            if row[ROW_ID] in self._failed:
                waiting.add(lane)
            elif lane in waiting and row[ROW_ID] not in left:
                overtaken += 1
        return overtaken

    def _confirmed(self, rows: Sequence[Row], left: set[RowId]) -> tuple[RowId, ...]:
        return () if self._stuck else tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left)

    def _one_by_one(self, rows: Sequence[Row], refused: dict[RowId, Refusal], away: set[RowId]) -> set[RowId]:
        """Send again, alone, each row that the brokers refused: they blame whole batches, innocents included.

        None goes before a row of its lane that is ``away``. Returns the rows that stay unsent; a fault that ended it is
        in ``_fault``.
        """
        blamed = [row for row in rows if row[ROW_ID] in self._failed]
        pending = {row[ROW_ID] for row in blamed}
        blocked = {self._lane(row) for row in rows if row[ROW_ID] in away}
        for row in blamed:
            row_id, lane = row[ROW_ID], self._lane(row)
            if lane is not None and lane in blocked:
                continue
            handed = self._again(row)
            if self._fault is not None:
                self._failed.update(dict.fromkeys(pending, KafkaError(KafkaError._PURGE_QUEUE)))
                return set()
            if isinstance(handed, Refusal):
                refused[row_id] = handed
            if handed is True:
                pending.discard(row_id)
            else:
                blocked.add(lane)
        self._failed = {}
        return pending - set(refused)

    def _again(self, row: Row) -> Refusal | bool:
        """Send one row alone; False where it did not arrive for a reason that is not its own."""
        row_id = row[ROW_ID]
        self._failed = {}
        handed = self._produce(row)
        self._wait(0)
        self._fault = self._fault or self._worst()
        error = self._failed.get(row_id)
        if self._fault is not None or error is None:
            return handed
        if class_of(error) is ErrorClass.TOPIC:
            self._blocked.setdefault(self._topics[row_id], topic_fault_of(error, self._topics[row_id]))
            return False
        return Refusal(row_id, row_reason(error), f"refused by the broker: {line_of(error)}")


def _bytes_of(message: Message) -> int:
    """Bytes of key, value and headers as librdkafka counts them, from above."""
    texts = [message.key, message.value, *(part for header in message.headers for part in header)]
    return 10 * len(message.headers) + sum(
        len(text.encode()) if isinstance(text, str) else len(text or b"") for text in texts
    )
