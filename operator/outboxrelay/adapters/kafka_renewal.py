"""Other credentials for the brokers: tried by a client of its own, then the producer is replaced by one that has them.

librdkafka keeps what a client was made with for its whole life, so a client is never changed, only replaced.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

from outboxrelay.adapters.kafka_config import client_config
from outboxrelay.adapters.kafka_errors import fault_of
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.kafka_topic import ANY_TOPIC, ASK_SECONDS, TopicLimits, TopicProbe
from outboxrelay.adapters.renewable_credentials import OneSide, RenewableCredentials, Values
from outboxrelay.api.names import Reason
from outboxrelay.api.target import Target
from outboxrelay.errors import TargetFault

WARM_SECONDS = 0.6
"""For which a new producer is left alone before its first batch, which else waits for it: half a second can pass until
librdkafka asks for the id that an idempotent producer needs, whenever it is connected."""


class _Verified(NamedTuple):
    """Clients whose credentials work, and what they were told of the topic."""

    values: Values
    producer: Producer
    batch_bytes: int
    probe: TopicProbe
    limits: TopicLimits | None


class KafkaRenewal(OneSide):
    """Satisfies the relay's Renewal for the brokers; works in a thread of its own, so that delivery goes on."""

    def __init__(self, target: Target, credentials: RenewableCredentials, publisher: KafkaPublisher) -> None:
        super().__init__(credentials)
        self._target = target
        self._publisher = publisher
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="renewal")
        self._prepared: _Verified | None = None

    async def prepare(self) -> str:
        """Ask the brokers for the topic with what the files hold; its fingerprint. Raises TargetFault."""
        values, loop = self._credentials.on_file(), asyncio.get_running_loop()
        found = await loop.run_in_executor(self._worker, self._attempt, values)
        if isinstance(found, TargetFault):
            self._credentials.refuse(values)
            raise found
        self._prepared = found
        return values.fingerprint

    async def switch(self) -> None:
        """A producer with what was prepared; raises TargetFault, and then the one before stays."""
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise TargetFault(Reason.STOPPED, "no other credentials are prepared")
        before = await self._publisher.replace(prepared.producer, prepared.batch_bytes, prepared.probe, prepared.limits)
        self._credentials.adopt(prepared.values)
        self._worker.submit(before.clear)

    async def drop(self) -> None:
        """Give up what was prepared."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            before: list[object] = [prepared]
            del prepared
            self._worker.submit(before.clear)

    async def close(self) -> None:
        """End the thread."""
        await self.drop()
        self._worker.shutdown(wait=False)

    def _attempt(self, values: Values) -> _Verified | TargetFault:
        """A fault that holds no frame, and so no client whose end the event loop would wait for."""
        try:
            return self._verify(values)
        except TargetFault as fault:
            return TargetFault(fault.reason, fault.message)

    def _verify(self, values: Values) -> _Verified:
        common = client_config(self._target, values)
        probe = TopicProbe(common)
        limits = probe.check(self._target.topic) if self._target.topic else None
        if limits is None:
            probe.reach()
        producer, batch_bytes = self._publisher.producer(common, limits)
        try:
            producer.list_topics(self._target.topic or ANY_TOPIC, timeout=ASK_SECONDS)
        except KafkaException as error:
            raise fault_of(error.args[0]) from None
        time.sleep(WARM_SECONDS)
        return _Verified(values, producer, batch_bytes, probe, limits)
