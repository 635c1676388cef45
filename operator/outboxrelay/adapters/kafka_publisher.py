"""The producer, in a thread of its own: whole batches go in, one outcome comes out, the event loop stays free."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer, ThrottleEvent

from outboxrelay.adapters.credentials import Credentials
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
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, Values, renewable
from outboxrelay.api.names import Reason
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.dead_letters import dead_letter
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken, DeadLetter, Outcome, Refused
from outboxrelay.decisions.rows import ROW_ID, Row
from outboxrelay.errors import TargetFault, TopicFault

T = TypeVar("T")

SILENT_SECONDS = 30.0
AT_ONCE = 500
"""Rows handed over before the event loop may do something else: one or two milliseconds."""


class KafkaPublisher:
    """Satisfies the relay's Publisher."""

    def __init__(self, spec: OutboxRelaySpec, mapper: Mapper, credentials: Credentials | RenewableCredentials) -> None:
        self._target = spec.target
        self._mapper = mapper
        self._routed = spec.topic_template is not None
        self._strict = spec.ordering.mode == "Strict"
        self._dead_letter_topic = spec.poison.dead_letter_topic
        self._credentials = renewable(credentials, spec.target.secret_references)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")
        self._probe: TopicProbe | None = None
        self._book: TopicBook | None = None
        self._producer: Producer | None = None
        self._delivery: Delivery | None = None
        self._limits: TopicLimits | None = None
        self._checked_at = 0.0
        self._last_error: KafkaError | None = None
        self._suspicious = False
        self._aborted = False
        self._alive_at = 0.0
        self._throttled = 0.0

    async def open(self) -> None:
        """Verify the topic and start a producer unless there is one; raises TargetFault."""
        if self._producer is None:
            self._aborted = False
            await self._credentials.connect(lambda values: self._in_worker(lambda: self._open(values)))

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send ``rows`` in order and wait for the outcome.

        Rows are handed over on the event loop, a few at a time: two threads that both want the interpreter for every
        row cost each other a fifth of their time. Waiting is done in the thread.
        """
        delivery, begun = self._delivery, 0
        if delivery is None:
            raise RuntimeError("publish without a producer")
        self._alive_at = time.monotonic()
        delivery.begin()
        while begun < len(rows) and not self._aborted:
            part = rows[begun : begun + AT_ONCE]
            handed = delivery.hand_over(part)
            begun += handed
            if handed < len(part):
                break
            await asyncio.sleep(0)
        return await self._in_worker(lambda: self._send(delivery, rows, begun))

    async def bury(self, letters: Sequence[DeadLetter]) -> Outcome:
        """Send ``letters`` to the dead letter topic and wait for the outcome."""
        self._alive_at = time.monotonic()
        return await self._in_worker(lambda: self._bury(letters))

    async def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent."""
        return await self._in_worker(self._check)

    async def check_topic(self, topic: str) -> TargetFault | None:
        """What is wrong with ``topic``."""
        return await self._in_worker(lambda: self._check_topic(topic))

    def throttled(self) -> float:
        """Milliseconds for which brokers held answers back since this was last asked."""
        milliseconds, self._throttled = self._throttled, 0.0
        return milliseconds

    def notices(self) -> list[str]:
        """What somebody should know of the topics."""
        return self._book.notices() if self._book else []

    def is_alive(self) -> bool:
        """Whether the thread was seen at work a while ago; the longest it may be silent is a question to brokers."""
        return time.monotonic() - self._alive_at < SILENT_SECONDS

    def abort(self) -> None:
        """Make a running publish end at once."""
        self._aborted = True

    async def discard(self) -> None:
        """Drop the producer and everything in it."""
        self._aborted = True
        await self._in_worker(self._drop)

    async def replace(
        self, producer: Producer, batch_bytes: int, probe: TopicProbe, limits: TopicLimits | None
    ) -> list[object]:
        """Between batches: go on with these; raises TargetFault where there is nothing to replace.

        Returns what was used before: whoever drops the last reference to it waits until its threads have ended.
        """
        return await self._in_worker(lambda: self._replace(producer, batch_bytes, probe, limits))

    async def close(self) -> None:
        """Drop everything and end the thread."""
        await self.discard()
        self._worker.shutdown(wait=False)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        # A cancelled caller leaves the thread to end by itself, which abort() makes it do.
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _open(self, values: Values) -> None:
        common = client_config(self._target, values)
        self._probe = TopicProbe(common)
        # The book outlives producers: what it knew of a topic tells whether its partitions grew.
        self._book = TopicBook(self._probe) if self._book is None else self._book.on(self._probe)
        try:
            self._start(common, self._look())
        except TargetFault:
            self._probe = None
            raise

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

    def producer(self, common: ClientConfig, limits: TopicLimits | None) -> tuple[Producer, int]:
        """A producer and the bytes of its batches, for ``replace``; raises TargetFault. Any thread may ask."""
        config = producer_config(common, self._target, limits)
        if self._routed and self._book is not None and (smallest := self._book.smallest) is not None:
            config["batch.size"] = max(SMALLEST_LIMIT, min(BATCH_BYTES, smallest - RECORD_OVERHEAD_BYTES))
        made = _producer({**config, "error_cb": self._note, "throttle_cb": self._note_throttle})
        return made, int(config["batch.size"])

    def _start(self, common: ClientConfig, limits: TopicLimits | None) -> None:
        producer, batch_bytes = self.producer(common, limits)
        self._use(producer, batch_bytes, limits)

    def _use(self, producer: Producer, batch_bytes: int, limits: TopicLimits | None) -> None:
        self._last_error, self._suspicious = None, False
        self._limits, self._checked_at = limits, time.monotonic()
        if self._delivery is not None:
            self._delivery.end()
        self._producer = producer
        self._delivery = self._deliver_through(producer, batch_bytes, routed=self._routed)

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
            give_up=self._gives_up,
        )

    def _bury(self, letters: Sequence[DeadLetter]) -> Outcome:
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

    def _send(self, delivery: Delivery, rows: Sequence[Row], begun: int) -> Outcome:
        self._alive_at = time.monotonic()
        outcome = delivery.send(rows, begun)
        if not isinstance(outcome, Refused):
            return outcome
        if delivery.spent:
            known = self._book.known(self._target.topic or "") if self._book else None
            try:
                self._start(self._common(), known or self._limits)
            except TargetFault as fault:
                left = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
                return Broken(fault, tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left))
        return outcome

    def _gives_up(self) -> bool:
        self._alive_at = time.monotonic()
        return self._aborted

    def _check(self) -> TargetFault | None:
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

    def _check_topic(self, topic: str) -> TargetFault | None:
        if self._book is None:
            return None
        try:
            self._book.look(topic)
        except TargetFault as fault:
            return fault
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

    def _replace(
        self, producer: Producer, batch_bytes: int, probe: TopicProbe, limits: TopicLimits | None
    ) -> list[object]:
        before: list[object] = [self._producer, self._probe]
        if self._producer is None or self._book is None:
            raise TargetFault(Reason.STOPPED, "there is no producer to replace")
        self._probe, self._book = probe, self._book.on(probe)
        self._use(producer, batch_bytes, limits)
        return before

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if self._delivery is not None:
            self._delivery.end()
        self._delivery = self._probe = None
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True)
            with suppress(KafkaException, SystemError):
                # It may have ended already, which it raises.
                producer.poll(0)

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._suspicious = True
        else:
            self._last_error = error

    def _note_throttle(self, event: ThrottleEvent) -> None:
        self._throttled += 1000 * event.throttle_time


def _producer(config: dict[str, Any]) -> Producer:
    """Raises TargetFault where what the Secrets hold is of no use."""
    try:
        return Producer(config)
    except KafkaException as error:
        raise unusable(error.args[0]) from None


def _sizes(limits: TopicLimits | None) -> int | None:
    return limits.max_message_bytes if limits else None
