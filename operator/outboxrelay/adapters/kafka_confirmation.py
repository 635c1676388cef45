"""Waiting until the brokers have confirmed what a producer holds, for as long as any of it moves."""

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Producer

from outboxrelay.adapters.kafka_errors import ErrorClass, class_of, ended_by, fault_of
from outboxrelay.adapters.kafka_notes import Notes
from outboxrelay.api.names import Reason
from outboxrelay.errors import TargetFault

TICK_SECONDS = 0.1
PURGE_SECONDS = 2.0
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)

GiveUp = Callable[[], bool]
"""Asked all the time while a batch is on its way."""


class Confirmation:
    """Of one producer. ``deadline``: seconds in which something must be confirmed; ``diagnose``: why nothing was.

    ``routed``: rows name their topic, and a topic that takes nothing is no fault of the brokers.
    """

    def __init__(
        self,
        producer: Producer,
        notes: Notes,
        *,
        routed: bool,
        deadline: float,
        diagnose: Callable[[], TargetFault],
        give_up: GiveUp,
    ) -> None:
        self._producer = producer
        self._notes = notes
        self._own = (ErrorClass.ROW, ErrorClass.TOPIC) if routed else (ErrorClass.ROW,)
        self._deadline = deadline
        self._diagnose = diagnose
        self._give_up = give_up
        self._ended: KafkaError | None = None
        """Why librdkafka ended the producer."""

    def wait(self, most: int = 0) -> TargetFault | None:
        """Until at most ``most`` rows are on their way; a fault when nothing was confirmed for the deadline.

        A fault that is noted already, of a topic behind them, changes nothing for rows that are on their way.
        """
        found: TargetFault | None = None
        left, moved_at = len(self._producer), time.monotonic()
        while left > most and found is None:
            if self._give_up():
                found = TargetFault(Reason.STOPPED, "delivery was given up")
            elif self.worst() is None and (remaining := self.flush(TICK_SECONDS)) != left:
                left, moved_at = remaining, time.monotonic()
            elif self.worst() is not None or time.monotonic() - moved_at >= self._deadline:
                found = self.worst() or self._diagnose()
        if found is not None:
            self._purge()
            # Only now it may be known why the producer ended.
            self._notes.fault = self._notes.fault or (found if self._ended is None else fault_of(self._ended))
        return found

    def wait_for_room(self) -> bool:
        """The queue is full, because the brokers are slower than this process; False where nothing moves any more."""
        return self.wait(len(self._producer) // 2) is None

    def flush(self, seconds: float) -> int:
        """Wait so long at most; how many rows are still on their way."""
        try:
            return self._producer.flush(seconds)
        except (KafkaException, SystemError) as raised:
            # Reports that were due at that moment are lost: what arrived is unknown from now on.
            self._ended = ended_by(raised)
            self._notes.stuck = self._notes.spent = True
            return len(self._producer)

    def worst(self) -> TargetFault | None:
        """The fault behind a failure that is not a row's own, nor that of one topic among others."""
        if self._ended is not None:
            return fault_of(self._ended)
        for error in self._notes.failed.values():
            if class_of(error) not in self._own and error.code() not in PURGED:
                return fault_of(error)
        return None

    def _purge(self) -> None:
        """Give up what is on its way. Where even that does not end, nothing counts as confirmed."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._notes.stuck = self.flush(PURGE_SECONDS) > 0 or self._notes.stuck
        self._notes.spent = True
