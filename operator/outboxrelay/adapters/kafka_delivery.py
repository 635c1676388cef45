"""One batch on its way: handed over in order, waited for, its failures sorted by what is to be done about them.

All but ``hand_over`` runs in the publisher's thread.
"""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from outboxrelay.adapters.kafka_confirmation import Confirmation, GiveUp
from outboxrelay.adapters.kafka_errors import ErrorClass, class_of, line_of, row_reason, topic_fault_of
from outboxrelay.adapters.kafka_hand_over import HandOver
from outboxrelay.adapters.kafka_notes import Notes
from outboxrelay.adapters.kafka_topic import TopicBook
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper, Message
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.rows import ROW_ID, Row, RowId
from outboxrelay.errors import TargetFault, TopicFault


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
        self._book = book
        self._routed = routed
        self._notes = notes = Notes(strict=strict)
        self._handing = HandOver(producer, mapper, book, notes, routed=routed, batch_bytes=batch_bytes)
        self._confirmation = Confirmation(
            producer, notes, routed=routed, deadline=deadline, diagnose=diagnose, give_up=give_up
        )

    @property
    def spent(self) -> bool:
        """Whether another producer is needed for the next batch."""
        return self._notes.spent

    def end(self) -> None:
        """Nothing more is sent."""
        self._notes.end()

    def begin(self, messages: Mapping[RowId, Message] | None = None) -> None:
        """Forget the batch before. ``messages`` are sent in place of what rows map to."""
        self._notes.begin()
        self._handing.begin(messages or {})

    def hand_over(self, rows: Sequence[Row]) -> int:
        """Produce ``rows`` up to the first for which something must be asked or waited for; how many were seen to.

        Never waits, so any thread may call it.
        """
        return self._handing.at_once(rows)

    def send(self, rows: Sequence[Row], begun: int) -> Outcome:
        """Send ``rows``, of which ``begun`` were handed over; blocks until each is confirmed, refused or given up."""
        notes = self._notes
        self._produce_all(rows[begun:])
        # Nothing waits for the answer before all that is on its way is confirmed.
        raised = self._book.ask_again(set(notes.too_large.values()))
        self._confirmation.wait()
        if notes.fault is None:
            self._reconsider(raised())
        if notes.fault is None and not notes.failed:
            return self._refused(0) if notes.refused or notes.unsent else Delivered()
        if notes.fault is None:
            self._confirmation.flush(0)
            notes.fault = self._confirmation.worst()
        if notes.fault is not None and self._routed and not notes.stuck:
            notes.fault = self._blame_topics(notes.fault)
        overtaken = notes.overtaken(rows)
        if notes.fault is None:
            away = self._take_out_topics()
            notes.unsent |= away
            notes.unsent |= self._one_by_one(rows, away)
        if notes.fault is not None:
            return Broken(notes.fault, notes.confirmed(rows), overtaken)
        return self._refused(overtaken)

    def _refused(self, overtaken: int) -> Refused:
        notes = self._notes
        blocked = tuple(notes.blocked.values())
        return Refused(tuple(notes.refused.values()), frozenset(notes.unsent), overtaken, blocked)

    def _reconsider(self, raised: set[str]) -> None:
        """Rows that are too large only for what a topic took a while ago are not refused; another producer sends them.

        Whoever raises a limit and tries again at once must not be told what the limit was before.
        """
        notes = self._notes
        again = {row_id for row_id, topic in notes.too_large.items() if topic in raised}
        notes.refused = {row_id: refusal for row_id, refusal in notes.refused.items() if row_id not in again}
        notes.unsent |= again
        notes.spent = notes.spent or bool(raised)

    def _produce_all(self, rows: Sequence[Row]) -> None:
        """Hand every row to the producer, but none behind a refused row of its key; notes those not handed over."""
        notes = self._notes
        for position, row in enumerate(rows):
            row_id = row[ROW_ID]
            if notes.is_held(row):
                notes.unsent.add(row_id)
                continue
            handed = self._produce(row)
            if isinstance(handed, Refusal):
                notes.refuse(row, handed)
            elif notes.fault is not None or row_id in notes.failed or notes.spent:
                # The producer takes nothing: rows behind this one must not get through after all.
                notes.unsent.update(later[ROW_ID] for later in rows[position + (row_id in notes.failed) :])
                break
            elif not handed:
                notes.unsent.add(row_id)

    def _produce(self, row: Row) -> Refusal | bool:
        """Any row, however it is: waits where the queue is full, and says what is wrong with the row.

        False where it was not handed over for a reason that is not its own, which is noted.
        """
        row_id = row[ROW_ID]
        message = self._handing.message(row)
        if not isinstance(message, Message):
            return message or False
        while True:
            try:
                self._handing.produce(row_id, message)
            except BufferError:
                if not self._confirmation.wait_for_room():
                    self._notes.failed[row_id] = KafkaError(KafkaError._QUEUE_FULL)
                    return False
            except KafkaException as error:
                refusal = self._handing.refusal(row_id, message, error.args[0])
                if refusal is None:
                    self._notes.failed[row_id] = error.args[0]
                return refusal or False
            else:
                return True

    def _blame_topics(self, fault: TargetFault) -> TargetFault | None:
        """Whether it was only some topics that took nothing: they are blocked then, and the fault is none."""
        notes = self._notes
        if fault.reason in (Reason.STOPPED, Reason.PRODUCER_FATAL):
            return fault
        silent = {notes.topics[row_id] for row_id in notes.failed if row_id in notes.topics}
        for topic in sorted(silent - set(notes.blocked)):
            try:
                self._book.look(topic)
            except TopicFault as found:
                notes.blocked[topic] = found
            except TargetFault as found:
                return found
        return None if silent.intersection(notes.blocked) else fault

    def _take_out_topics(self) -> set[RowId]:
        """Rows that failed because of their topic, or were given up for another's: not sent, as far as is known."""
        notes = self._notes
        away: set[RowId] = set()
        for row_id, error in list(notes.failed.items()) if self._routed else ():
            topic = notes.topics.get(row_id, "")
            if class_of(error) is ErrorClass.TOPIC and topic not in notes.blocked:
                notes.blocked[topic] = topic_fault_of(error, topic)
            if class_of(error) is not ErrorClass.ROW or topic in notes.blocked:
                away.add(row_id)
                del notes.failed[row_id]
        return away

    def _one_by_one(self, rows: Sequence[Row], away: set[RowId]) -> set[RowId]:
        """Send again, alone, each row that the brokers refused: they blame whole batches, innocents included.

        None goes before a row of its lane that is ``away``. Returns the rows that stay unsent; a fault that ended it is
        noted.
        """
        notes = self._notes
        blamed = [row for row in rows if row[ROW_ID] in notes.failed]
        pending = {row[ROW_ID] for row in blamed}
        blocked = {notes.lane(row) for row in rows if row[ROW_ID] in away}
        for row in blamed:
            row_id, lane = row[ROW_ID], notes.lane(row)
            if lane is not None and lane in blocked:
                continue
            handed = self._again(row)
            if notes.fault is not None:
                notes.failed.update(dict.fromkeys(pending, KafkaError(KafkaError._PURGE_QUEUE)))
                return set()
            if isinstance(handed, Refusal):
                notes.refused[row_id] = handed
            if handed is True:
                pending.discard(row_id)
            else:
                blocked.add(lane)
        notes.failed = {}
        return pending - set(notes.refused)

    def _again(self, row: Row) -> Refusal | bool:
        """Send one row alone; False where it did not arrive for a reason that is not its own."""
        row_id, notes = row[ROW_ID], self._notes
        notes.failed = {}
        handed = self._produce(row)
        self._confirmation.wait()
        notes.fault = notes.fault or self._confirmation.worst()
        error = notes.failed.get(row_id)
        if notes.fault is not None or error is None:
            return handed
        if class_of(error) is ErrorClass.TOPIC:
            notes.blocked.setdefault(notes.topics[row_id], topic_fault_of(error, notes.topics[row_id]))
            return False
        return Refusal(row_id, row_reason(error), f"refused by the broker: {line_of(error)}")
