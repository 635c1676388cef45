"""What becomes of a batch, asked of the fake brokers and of Kafka alike."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken, Delivered, Refused
from outboxrelay.errors import TargetFault
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_source import row
from tests.support.oracle.consumer import Consumer
from tests.support.relay_process import manifest as relay_manifest

pytestmark = pytest.mark.needs_services

BIG = "x" * 30_000


def kafka(topic: str, servers: str, **fields: Any) -> KafkaPublisher:
    manifest = relay_manifest(table="outbox", topic=topic, servers=servers, target=fields)
    spec = parse_manifest(manifest).spec
    return KafkaPublisher(spec, Mapper(spec), MappingCredentials({}))


class Brokers:
    """One implementation and what arrived in it."""

    def __init__(self, publisher: Any, topic: str | None) -> None:
        self.publisher = publisher
        self._topic = topic

    async def arrived(self, count: int) -> list[int]:
        """Row ids, in order; every test uses one key, so one partition."""
        if self._topic is None:
            return list(self.publisher.ids)
        with Consumer(os.environ["OUTBOXRELAY_KAFKA_SERVERS"], self._topic) as consumer:
            assert await asyncio.to_thread(consumer.wait_until, lambda: len(consumer.arrived) >= count, 30)
            return [record.row_id or 0 for record in consumer.arrived]


@pytest.fixture(params=["fake", "Kafka"])
async def brokers(request: pytest.FixtureRequest) -> AsyncIterator[Brokers]:
    if request.param == "fake":
        publisher = FakePublisher()
        publisher.too_large = {3}
        yield Brokers(publisher, None)
        return
    servers, topic = os.environ["OUTBOXRELAY_KAFKA_SERVERS"], f"contract-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    created = admin.create_topics([NewTopic(topic, 2, 1, config={"max.message.bytes": "20000"})])[topic]
    await asyncio.to_thread(created.result, 30)
    real = kafka(topic, servers)
    yield Brokers(real, topic)
    await real.close()


async def test_a_batch_arrives_in_order_and_counts_as_delivered_only_then(brokers: Brokers) -> None:
    await brokers.publisher.open()
    rows = [row(i) for i in range(10, 500)]
    assert await brokers.publisher.publish(rows) == Delivered()
    assert await brokers.arrived(490) == list(range(10, 500))
    assert brokers.publisher.is_alive()


async def test_a_row_that_is_too_large_is_refused_and_nothing_behind_it_of_its_key_is_sent(brokers: Brokers) -> None:
    await brokers.publisher.open()
    rows = [row(1), row(2, "other"), row(3, payload=BIG), row(4), row(5, "other"), row(6)]
    outcome = await brokers.publisher.publish(rows)
    assert isinstance(outcome, Refused)
    assert [(item.row_id, item.reason) for item in outcome.refusals] == [(3, Reason.ROW_TOO_LARGE)]
    assert (outcome.unsent, outcome.overtaken) == (frozenset({4, 6}), 0)
    assert sorted(await brokers.arrived(3)) == [1, 2, 5]


async def test_a_dropped_producer_opens_again(brokers: Brokers) -> None:
    await brokers.publisher.open()
    await brokers.publisher.discard()
    await brokers.publisher.open()
    assert await brokers.publisher.publish([row(1)]) == Delivered()
    assert await brokers.publisher.check() is None


async def test_a_broker_that_is_not_there_is_named_and_a_missing_topic_is_not_created() -> None:
    away = kafka("t", "127.0.0.1:1")
    with pytest.raises(TargetFault) as caught:
        await away.open()
    assert caught.value.reason == Reason.BROKER_UNAVAILABLE
    await away.close()
    name = f"never-{uuid.uuid4().hex}"
    missing = kafka(name, os.environ["OUTBOXRELAY_KAFKA_SERVERS"])
    with pytest.raises(TargetFault, match="create it") as caught:
        await missing.open()
    assert caught.value.reason == Reason.TOPIC_NOT_FOUND
    await missing.close()
    admin = AdminClient({"bootstrap.servers": os.environ["OUTBOXRELAY_KAFKA_SERVERS"]})
    assert name not in (await asyncio.to_thread(admin.list_topics, timeout=10)).topics


async def test_abort_ends_a_publish_that_waits_for_brokers_and_settles_nothing_that_is_not_confirmed() -> None:
    servers, topic = os.environ["OUTBOXRELAY_KAFKA_SERVERS"], f"contract-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    await asyncio.to_thread(admin.create_topics([NewTopic(topic, 1, 1)])[topic].result, 30)
    publisher = kafka(topic, servers, deliveryTimeoutSeconds=60)
    await publisher.open()
    await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 30)
    sending = asyncio.create_task(publisher.publish([row(1)]))
    await asyncio.wait({sending}, timeout=1)
    publisher.abort()
    async with asyncio.timeout(20):
        outcome = await sending
    assert isinstance(outcome, Broken)
    assert outcome.confirmed == ()
    await publisher.close()


async def test_partitions_that_are_added_are_told() -> None:
    servers, topic = os.environ["OUTBOXRELAY_KAFKA_SERVERS"], f"contract-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    await asyncio.to_thread(admin.create_topics([NewTopic(topic, 2, 1)])[topic].result, 30)
    publisher = kafka(topic, servers)
    await publisher.open()
    assert publisher.notices() == []
    await asyncio.to_thread(admin.create_partitions([NewPartitions(topic, 6)])[topic].result, 30)
    async with asyncio.timeout(20):
        while not publisher.notices():
            assert await publisher.check_topic(topic) is None
            await asyncio.sleep(0.2)
    assert "grew from 2 to 6 partitions" in publisher.notices()[0]
    await publisher.close()
