"""Both ends of the oracle against the real servers, with a trivial copier instead of a relay."""

import asyncio
import contextlib
import os
import random
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.oracle import Oracle, OutboxTable
from tests.support.oracle.consumer import Consumer
from tests.support.oracle.table import PayloadKind

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """URI of a fresh database."""
    base, name = os.environ["OUTBOXRELAY_POSTGRES_URI"], f"oracle_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(base)
    await admin.execute(f"CREATE DATABASE {name}")
    yield base.replace("/postgres?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def servers() -> str:
    return os.environ["OUTBOXRELAY_KAFKA_SERVERS"]


@pytest.fixture
def topic(servers: str) -> str:
    """A fresh topic with three partitions."""
    name = f"oracle-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(30)
    return name


def test_a_topic_of_which_the_broker_has_not_heard_yet_is_waited_for(servers: str) -> None:
    name = f"oracle-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": servers})
    made: list[object] = []

    def make() -> None:
        made.append(admin.create_topics([NewTopic(name, 2, 1)])[name].result(30))

    later = threading.Timer(1.5, make)
    later.start()
    with Consumer(servers, name) as consumer:
        later.join()
        assert made
        producer = Producer({"bootstrap.servers": servers})
        producer.produce(name, value=b"{}", key=b"k", headers={"id": "one"})
        producer.flush(10)
        assert consumer.wait_for({"one"}, 30)


@contextlib.asynccontextmanager
async def copying(uri: str, servers: str, topic: str, *, spoil: bool = False) -> AsyncIterator[None]:
    """Copies rows to the topic and deletes them; ``spoil`` drops, repeats and swaps some and invents one."""
    task = asyncio.create_task(copy(uri, servers, topic, spoil), name="copier")
    try:
        yield
        assert not task.done(), f"the copier ended: {task.exception()}"
    finally:
        task.cancel()
        await asyncio.wait([task])


async def copy(uri: str, servers: str, topic: str, spoil: bool) -> None:
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "partitioner": "murmur2_random"})
    session = await asyncpg.connect(uri)
    query = "SELECT id, event_id::text, aggregate_id AS key, payload::text FROM outbox ORDER BY id LIMIT 5000"
    try:
        while True:
            rows = await session.fetch(query)
            sent = spoiled(rows) if spoil else rows
            for row in sent:
                headers = {"id": row["event_id"], "type": "OracleEvent", "sequence": str(row["id"])}
                producer.produce(topic, value=row["payload"], key=row["key"], headers=headers)
                producer.poll(0)
            await asyncio.to_thread(producer.flush, 30)
            await session.execute("DELETE FROM outbox WHERE id = ANY($1)", [row["id"] for row in rows])
            await asyncio.sleep(0.01)
    finally:
        session.terminate()


def spoiled(rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    """The first row is dropped, the second repeated, the last two swapped, and one invented."""
    if len(rows) < 5:
        return []
    copies = [dict(row) for row in rows]
    invented = {**copies[1], "event_id": str(uuid.uuid4())}
    return [copies[1], invented, *copies[1:-2], copies[-1], copies[-2]]


async def test_a_run_of_every_kind_of_write_passes_through_a_faithful_copier(
    database: str, servers: str, topic: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    async with Oracle(database, servers, topic, seed=seed, keys=50) as oracle, asyncio.timeout(120):
        await oracle.writer.create_table()
        async with copying(database, servers, topic):
            await oracle.writer.bulk(20_000)
            await oracle.writer.write(1_000, late_share=0.3, rollback_share=0.3, hold=0.05)
            await oracle.writer.late_commits(60)
            async with oracle.writer.writing(per_second=500):
                assert await oracle.delivered(0.9)
            result = await oracle.verdict()
    assert result.passed, result.report()
    assert result.committed == len(oracle.writer.committed) > 21_000
    assert result.latency is not None
    assert oracle.writer.rolled_back > 0


async def test_what_a_careless_copier_does_is_seen_and_counted(database: str, servers: str, topic: str) -> None:
    async with Oracle(database, servers, topic, keys=1) as oracle, asyncio.timeout(120):
        await oracle.writer.create_table()
        events = await oracle.writer.bulk(1_000)
        async with copying(database, servers, topic, spoil=True):
            result = await oracle.verdict(deadline=5)
    assert not result.passed
    assert result.lost == (events[0],)
    assert result.duplicates == 1
    assert [str(inversion.event).split(" partition")[0] for inversion in result.inversions] == [str(events[-2])]
    assert len(result.phantoms) == 1


@pytest.mark.parametrize("kind", ["jsonb", "json", "text", "bytea"])
async def test_each_kind_of_payload_column_can_be_written(
    database: str, servers: str, topic: str, kind: PayloadKind
) -> None:
    async with Oracle(database, servers, topic, table=OutboxTable(payload=kind), keys=3) as oracle:
        await oracle.writer.create_table()
        await oracle.writer.bulk(10)
        await oracle.writer.write(10)
        session = await asyncpg.connect(database)
        text = "convert_from(payload, 'UTF8')" if kind == "bytea" else "payload"
        numbers = await session.fetch(
            f"SELECT aggregate_id, array_agg(({text}::json->>'number')::int ORDER BY id) AS numbers "
            "FROM outbox GROUP BY 1"
        )
        await session.close()
    assert all(sorted(row["numbers"]) == row["numbers"] for row in numbers)
    assert sum(len(row["numbers"]) for row in numbers) == len(oracle.writer.committed)


async def test_rows_without_a_key_are_written_and_judged_without_order(database: str, servers: str, topic: str) -> None:
    async with Oracle(database, servers, topic, table=OutboxTable(keyed=False)) as oracle, asyncio.timeout(60):
        await oracle.writer.create_table()
        async with copying(database, servers, topic):
            await oracle.writer.bulk(100)
            await oracle.writer.write(50)
            result = await oracle.verdict()
    assert result.passed, result.report()
    assert {record.key for record in oracle.consumer.arrived} == {None}


async def test_the_log_is_true_when_sessions_are_killed_while_they_commit(
    database: str, servers: str, topic: str
) -> None:
    """Whatever was in flight, the log holds exactly what the table holds."""
    async with Oracle(database, servers, topic, seed=3, keys=20) as oracle, asyncio.timeout(120):
        await oracle.writer.create_table()
        admin = await asyncpg.connect(database)
        async with oracle.writer.writing(sessions=8):
            while oracle.writer.interrupted < 40:
                await admin.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
                await asyncio.sleep(0.02)
        found = {str(row["event_id"]) for row in await admin.fetch("SELECT event_id FROM outbox")}
        await admin.close()
    assert {event.event_id for event in oracle.writer.committed} == found


async def test_two_writers_of_one_seed_on_one_table_keep_out_of_each_others_way(
    database: str, servers: str, topic: str
) -> None:
    async with Oracle(database, servers, topic, seed=5) as one, Oracle(database, servers, topic, seed=5) as other:
        await one.writer.create_table()
        await asyncio.gather(one.writer.write(100), other.writer.write(100))
        await asyncio.gather(one.writer.bulk(100), other.writer.bulk(100))
    ids = {event.event_id for event in one.writer.committed + other.writer.committed}
    assert len(ids) == len(one.writer.committed) + len(other.writer.committed)
