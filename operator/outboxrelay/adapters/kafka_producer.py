"""The producer in use, what it was made for, and how it is replaced. All of it is for the publisher's thread."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, ThrottleEvent

from outboxrelay.adapters.kafka_config import (
    BATCH_BYTES,
    RECORD_OVERHEAD_BYTES,
    SMALLEST_LIMIT,
    ClientConfig,
    client_config,
    producer_config,
)
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_errors import ended_by, fault_of, unusable
from outboxrelay.adapters.kafka_topic import REFRESH_SECONDS, TopicBook, TopicLimits, TopicProbe
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, Values
from outboxrelay.api.names import Reason
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.dead_letters import dead_letter
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken, DeadLetter, Outcome, Refused
from outboxrelay.decisions.rows import ROW_ID
from outboxrelay.errors import TargetFault, TopicFault


class ProducerInUse:
    """At most one. ``give_up`` is asked all the time while something is on its way."""

    def __init__(
        self, spec: OutboxRelaySpec, mapper: Mapper, credentials: RenewableCredentials, give_up: Callable[[], bool]
    ) -> None:
        self._target = spec.target
        self._mapper = mapper
        self._routed = spec.topic_template is not None
        self._strict = spec.ordering.mode == "Strict"
        self._dead_letter_topic = spec.poison.dead_letter_topic
        self._credentials = credentials
        self._give_up = give_up
        self._probe: TopicProbe | None = None
        self._book: TopicBook | None = None
        self._producer: Producer | None = None
        self._limits: TopicLimits | None = None
        self._checked_at = 0.0
        self._last_error: KafkaError | None = None
        self._suspicious = False
        self.delivery: Delivery | None = None
        """Through the producer in use."""
        self.throttled = 0.0
        """Milliseconds for which brokers held answers back."""

    @property
    def notices(self) -> list[str]:
        """What somebody should know of the topics."""
        return self._book.notices() if self._book else []

    def open(self, values: Values) -> None:
        """Verify the topic and start a producer; raises TargetFault."""
        common = client_config(self._target, values)
        self._probe = TopicProbe(common)
        # The book outlives producers: what it knew of a topic tells whether its partitions grew.
        self._book = TopicBook(self._probe) if self._book is None else self._book.on(self._probe)
        try:
            self._start(common, self._look())
        except TargetFault:
            self._probe = None
            raise

    def make(self, common: ClientConfig, limits: TopicLimits | None) -> tuple[Producer, int]:
        """A producer and the bytes of its batches, for ``replace``; raises TargetFault. Any thread may ask."""
        config = producer_config(common, self._target, limits)
        if self._routed and self._book is not None and (smallest := self._book.smallest) is not None:
            config["batch.size"] = max(SMALLEST_LIMIT, min(BATCH_BYTES, smallest - RECORD_OVERHEAD_BYTES))
        made = _producer({**config, "error_cb": self._note, "throttle_cb": self._note_throttle})
        return made, int(config["batch.size"])

    def replace(
        self, producer: Producer, batch_bytes: int, probe: TopicProbe, limits: TopicLimits | None
    ) -> list[object]:
        """Between batches: go on with these; raises TargetFault where there is nothing to replace.

        Returns what was used before: whoever drops the last reference to it waits until its threads have ended.
        """
        before: list[object] = [self._producer, self._probe]
        if self._producer is None or self._book is None:
            raise TargetFault(Reason.STOPPED, "there is no producer to replace")
        self._probe, self._book = probe, self._book.on(probe)
        self._use(producer, batch_bytes, limits)
        return before

    def renew(self) -> None:
        """Another one for what the topics take by now; raises TargetFault."""
        known = self._book.known(self._target.topic or "") if self._book else None
        self._start(self._common(), known or self._limits)

    def drop(self) -> None:
        """Give up the producer with everything in it."""
        producer, self._producer = self._producer, None
        if self.delivery is not None:
            self.delivery.end()
        self.delivery = self._probe = None
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True)
            with suppress(KafkaException, SystemError):
                # It may have ended already, which it raises.
                producer.poll(0)

    def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent; looks at the topics now and then."""
        if self._producer is None or self._book is None:
            return None
        try:
            self._producer.poll(0)
        except (KafkaException, SystemError) as raised:
            return fault_of(ended_by(raised))
        if not self._suspicious and time.monotonic() - self._checked_at < REFRESH_SECONDS:
            return None
        try:
            limits = self._look()
            if limits is None:
                self._book.refresh()
            self._suspicious, self._checked_at = False, time.monotonic()
            if _sizes(limits) != _sizes(self._limits):
                self._start(self._common(), limits)
        except TargetFault as fault:
            return fault
        return None

    def check_topic(self, topic: str) -> TargetFault | None:
        """What is wrong with ``topic``."""
        if self._book is None:
            return None
        try:
            self._book.look(topic)
        except TargetFault as fault:
            return fault
        return None

    def bury(self, letters: Sequence[DeadLetter]) -> Outcome:
        """Through a producer of its own: the dead letter topic may take larger rows than the other.

        It is one topic beside the other: where it takes nothing, only these rows wait.
        """
        topic, rows = self._dead_letter_topic, [letter.row for letter in letters]
        if self._book is None or topic is None:
            raise RuntimeError("a dead letter without a topic for it")
        origin = self._target.topic or self._target.topic_template or ""
        try:
            limits = self._book.look(topic)
            config = producer_config(self._common(), self._target, limits)
            producer = _producer({**config})
        except TopicFault as fault:
            return Refused((), frozenset(row[ROW_ID] for row in rows), 0, (fault,))
        except TargetFault as fault:
            return Broken(fault, ())
        delivery = self._deliver_through(producer, int(config["batch.size"]), routed=True)
        delivery.begin({letter.row[ROW_ID]: dead_letter(letter, topic, origin) for letter in letters})
        return delivery.send(rows, 0)

    def _start(self, common: ClientConfig, limits: TopicLimits | None) -> None:
        producer, batch_bytes = self.make(common, limits)
        self._use(producer, batch_bytes, limits)

    def _use(self, producer: Producer, batch_bytes: int, limits: TopicLimits | None) -> None:
        self._last_error, self._suspicious = None, False
        self._limits, self._checked_at = limits, time.monotonic()
        if self.delivery is not None:
            self.delivery.end()
        self._producer = producer
        self.delivery = self._deliver_through(producer, batch_bytes, routed=self._routed)

    def _deliver_through(self, producer: Producer, batch_bytes: int, *, routed: bool) -> Delivery:
        if self._book is None:
            raise RuntimeError("no book of topics")
        return Delivery(
            producer,
            self._mapper,
            self._book,
            routed=routed,
            strict=self._strict and producer is self._producer,
            batch_bytes=batch_bytes,
            deadline=float(self._target.delivery_timeout_seconds),
            diagnose=self._diagnose,
            give_up=self._give_up,
        )

    def _common(self) -> ClientConfig:
        """What every client is made of, with the credentials in use."""
        return client_config(self._target, self._credentials.current)

    def _look(self) -> TopicLimits | None:
        """What the topic takes; where rows name theirs, only whether brokers answer. Raises TargetFault."""
        if self._book is None or self._probe is None:
            raise RuntimeError("no probe")
        if self._target.topic:
            return self._book.look(self._target.topic)
        self._probe.reach()
        return None

    def _diagnose(self) -> TargetFault:
        """Why nothing is confirmed: what the connections ran into, else what the brokers say of the topic."""
        try:
            self._look()
        except TargetFault as fault:
            return fault
        if self._last_error is not None:
            return fault_of(self._last_error)
        seconds = self._target.delivery_timeout_seconds
        return TargetFault(Reason.BROKER_UNAVAILABLE, f"the brokers confirmed nothing for {seconds} s")

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._suspicious = True
        else:
            self._last_error = error

    def _note_throttle(self, event: ThrottleEvent) -> None:
        self.throttled += 1000 * event.throttle_time


def _producer(config: dict[str, Any]) -> Producer:
    """Raises TargetFault where what the Secrets hold is of no use."""
    try:
        return Producer(config)
    except KafkaException as error:
        raise unusable(error.args[0]) from None


def _sizes(limits: TopicLimits | None) -> int | None:
    return limits.max_message_bytes if limits else None
