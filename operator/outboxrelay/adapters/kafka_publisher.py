"""The producer, in a thread of its own: whole batches go in, one outcome comes out, the event loop stays free."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.kafka_config import ClientConfig, client_config
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_errors import fault_of
from outboxrelay.adapters.kafka_topic import TopicLimits, TopicProbe
from outboxrelay.api.names import Reason
from outboxrelay.api.target import Target
from outboxrelay.decisions.outcomes import Outcome, Refused
from outboxrelay.decisions.rows import Row
from outboxrelay.errors import TargetFault

T = TypeVar("T")

REFRESH_SECONDS = 60.0
SILENT_SECONDS = 30.0
RECORD_OVERHEAD_BYTES = 100
"""What a batch of one row adds to the key, value and headers that librdkafka counts, at most."""
SMALLEST_LIMIT = 1000
QUEUE_KIBIBYTES = 32 * 1024
AT_ONCE = 500
"""Rows handed over before the event loop may do something else: one or two milliseconds."""


def producer_config(common: ClientConfig, target: Target, limits: TopicLimits) -> ClientConfig:
    """The producer's configuration: what order and at-least-once rest on is not an option."""
    # Less than the topic takes, so that a row that is too large is found before anything behind it leaves.
    most = max(SMALLEST_LIMIT, limits.max_message_bytes - RECORD_OVERHEAD_BYTES)
    return {
        **common,
        "enable.idempotence": True,
        "acks": "all",
        # librdkafka's own timeout gives up single rows and goes on with those behind them: order would be lost.
        "message.timeout.ms": 0,
        "partitioner": "murmur2_random",
        "delivery.report.only.error": True,
        "linger.ms": 5,
        "compression.type": target.compression,
        "message.max.bytes": min(most, 1_000_000_000),
        "batch.size": min(most, 1_000_000),
        "queue.buffering.max.messages": 0,
        "queue.buffering.max.kbytes": QUEUE_KIBIBYTES,
    }


class KafkaPublisher:
    """Satisfies the relay's Publisher."""

    def __init__(self, target: Target, credentials: Credentials) -> None:
        self._target = target
        self._credentials = credentials
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")
        self._probe: TopicProbe | None = None
        self._producer: Producer | None = None
        self._delivery: Delivery | None = None
        self._limits: TopicLimits | None = None
        self._checked_at = 0.0
        self._last_error: KafkaError | None = None
        self._suspicious = False
        self._aborted = False
        self._alive_at = 0.0

    async def open(self) -> None:
        """Verify the topic and start a producer unless there is one; raises TargetFault."""
        if self._producer is None:
            self._aborted = False
            await self._in_worker(self._open)

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

    async def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent."""
        return await self._in_worker(self._check)

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

    async def close(self) -> None:
        """Drop everything and end the thread."""
        await self.discard()
        self._worker.shutdown(wait=False)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        # A cancelled caller leaves the thread to end by itself, which abort() makes it do.
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _open(self) -> None:
        common = client_config(self._target, self._credentials)
        self._probe = TopicProbe(common, self._target.topic)
        try:
            self._start(common, self._probe.check())
        except TargetFault:
            self._probe = None
            raise

    def _start(self, common: ClientConfig, limits: TopicLimits) -> None:
        config = producer_config(common, self._target, limits)
        self._last_error, self._suspicious = None, False
        try:
            producer = Producer({**config, "error_cb": self._note})
        except KafkaException as error:
            raise fault_of(error.args[0]) from None
        self._limits, self._checked_at = limits, time.monotonic()
        self._producer = producer
        deadline = float(self._target.delivery_timeout_seconds)
        self._delivery = Delivery(producer, self._target.topic, deadline, self._diagnose, self._gives_up)

    def _send(self, delivery: Delivery, rows: Sequence[Row], begun: int) -> Outcome:
        self._alive_at = time.monotonic()
        outcome = delivery.send(rows, begun)
        if isinstance(outcome, Refused) and any(r.reason == Reason.ROW_TOO_LARGE for r in outcome.refusals):
            # The topic's limit may have been raised; ask before the row is tried again.
            self._checked_at = 0.0
        return outcome

    def _gives_up(self) -> bool:
        self._alive_at = time.monotonic()
        return self._aborted

    def _check(self) -> TargetFault | None:
        if self._producer is None or self._probe is None:
            return None
        self._producer.poll(0)
        if not self._suspicious and time.monotonic() - self._checked_at < REFRESH_SECONDS:
            return None
        try:
            limits = self._probe.check()
            self._suspicious, self._checked_at = False, time.monotonic()
            if limits != self._limits:
                self._producer = self._delivery = None
                self._start(client_config(self._target, self._credentials), limits)
        except TargetFault as fault:
            return fault
        return None

    def _diagnose(self) -> TargetFault:
        """Why nothing is confirmed: what the connections ran into, else what the brokers say of the topic."""
        if self._probe is not None:
            try:
                self._probe.check()
            except TargetFault as fault:
                return fault
        if self._last_error is not None:
            return fault_of(self._last_error)
        seconds = self._target.delivery_timeout_seconds
        return TargetFault(Reason.BROKER_UNAVAILABLE, f"the brokers confirmed nothing for {seconds} s")

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        self._delivery = self._probe = None
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True)
            producer.poll(0)

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._suspicious = True
        else:
            self._last_error = error
