"""The producer, in a thread of its own: whole batches go in, one outcome comes out, the event loop stays free."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import Producer

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.kafka_config import ClientConfig
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_producer import ProducerInUse
from outboxrelay.adapters.kafka_topic import TopicLimits, TopicProbe
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, renewable
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken, DeadLetter, Outcome, Refused
from outboxrelay.decisions.rows import ROW_ID, Row
from outboxrelay.errors import TargetFault

T = TypeVar("T")

SILENT_SECONDS = 30.0
AT_ONCE = 500
"""Rows handed over before the event loop may do something else: one or two milliseconds."""


class KafkaPublisher:
    """Satisfies the relay's Publisher."""

    def __init__(self, spec: OutboxRelaySpec, mapper: Mapper, credentials: Credentials | RenewableCredentials) -> None:
        self._credentials = renewable(credentials, spec.target.secret_references)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")
        self._in_use = ProducerInUse(spec, mapper, self._credentials, self._gives_up)
        self._aborted = False
        self._alive_at = 0.0

    async def open(self) -> None:
        """Verify the topic and start a producer unless there is one; raises TargetFault."""
        if self._in_use.delivery is None:
            self._aborted = False
            await self._credentials.connect(lambda values: self._in_worker(lambda: self._in_use.open(values)))

    async def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send ``rows`` in order and wait for the outcome.

        Rows are handed over on the event loop, a few at a time: two threads that both want the interpreter for every
        row cost each other a fifth of their time. Waiting is done in the thread.
        """
        delivery, begun = self._in_use.delivery, 0
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
        return await self._in_worker(lambda: self._in_use.bury(letters))

    async def check(self) -> TargetFault | None:
        """What is wrong with the brokers while nothing is being sent."""
        return await self._in_worker(self._in_use.check)

    async def check_topic(self, topic: str) -> TargetFault | None:
        """What is wrong with ``topic``."""
        return await self._in_worker(lambda: self._in_use.check_topic(topic))

    def throttled(self) -> float:
        """Milliseconds for which brokers held answers back since this was last asked."""
        milliseconds, self._in_use.throttled = self._in_use.throttled, 0.0
        return milliseconds

    def notices(self) -> list[str]:
        """What somebody should know of the topics."""
        return self._in_use.notices

    def is_alive(self) -> bool:
        """Whether the thread was seen at work a while ago; the longest it may be silent is a question to brokers."""
        return time.monotonic() - self._alive_at < SILENT_SECONDS

    def abort(self) -> None:
        """Make a running publish end at once."""
        self._aborted = True

    async def discard(self) -> None:
        """Drop the producer and everything in it."""
        self._aborted = True
        await self._in_worker(self._in_use.drop)

    def producer(self, common: ClientConfig, limits: TopicLimits | None) -> tuple[Producer, int]:
        """A producer and the bytes of its batches, for ``replace``; raises TargetFault. Any thread may ask."""
        return self._in_use.make(common, limits)

    async def replace(
        self, producer: Producer, batch_bytes: int, probe: TopicProbe, limits: TopicLimits | None
    ) -> list[object]:
        """Between batches: go on with these; raises TargetFault where there is nothing to replace.

        Returns what was used before: whoever drops the last reference to it waits until its threads have ended.
        """
        return await self._in_worker(lambda: self._in_use.replace(producer, batch_bytes, probe, limits))

    async def close(self) -> None:
        """Drop everything and end the thread."""
        await self.discard()
        self._worker.shutdown(wait=False)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        # A cancelled caller leaves the thread to end by itself, which abort() makes it do.
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _send(self, delivery: Delivery, rows: Sequence[Row], begun: int) -> Outcome:
        self._alive_at = time.monotonic()
        outcome = delivery.send(rows, begun)
        if isinstance(outcome, Refused) and delivery.spent:
            try:
                self._in_use.renew()
            except TargetFault as fault:
                left = {*outcome.unsent, *(refusal.row_id for refusal in outcome.refusals)}
                return Broken(fault, tuple(row[ROW_ID] for row in rows if row[ROW_ID] not in left))
        return outcome

    def _gives_up(self) -> bool:
        self._alive_at = time.monotonic()
        return self._aborted
