"""The inbox's functions on the real PostgreSQL, and the worker on the real Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer
from sqlalchemy import create_engine

from outboxrelay import inbox
from outboxrelay.adapters.postgres_statements import sql
from tests.support.inbox_stand import Stand, send
from tests.support.producer_sessions import ASYNC, DRIVERS, SYNC, sqlalchemy_uri
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

ACCEPT = "SELECT outboxrelay.inbox_accept($1, $2)"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
MISSED = "SELECT outboxrelay.inbox_missed('c', $1, $2)"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=2) as found:
        for _ in range(2):
            await found.database.execute(sql("schema/inbox"))
        yield found


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_event_is_accepted_once_by_each_consumer_and_again_after_a_rollback(
    line: RelayLine, driver: str
) -> None:
    async def accepted(consumer: str, fail: bool = False) -> bool:
        async def body(conn: Any) -> bool:
            found = await inbox.accept(conn, "e", consumer)
            if fail:
                raise RuntimeError(str(found))
            return found

        def body_sync(conn: Any) -> bool:
            found = inbox.accept_sync(conn, "e", consumer)
            if fail:
                raise RuntimeError(str(found))
            return found

        if driver in ASYNC:
            return bool(await ASYNC[driver](line.uri, body))
        return bool(await asyncio.to_thread(SYNC[driver], line.uri, body_sync))

    with pytest.raises(RuntimeError, match="True"):
        await accepted("a", fail=True)
    assert [await accepted("a"), await accepted("a"), await accepted("b")] == [True, False, True]


@pytest.mark.parametrize(("commits", "wanted"), [(True, False), (False, True)])
async def test_the_second_waits_for_the_first(line: RelayLine, commits: bool, wanted: bool) -> None:
    first, second = await line.connect(), await line.connect()
    try:
        transaction = first.transaction()
        await transaction.start()
        assert await first.fetchval(ACCEPT, "e", "c") is True
        waiting = asyncio.create_task(second.fetchval(ACCEPT, "e", "c"))
        async with asyncio.timeout(20):
            while not await line.database.fetchval(WAITING):
                await asyncio.sleep(0.02)
        assert not waiting.done()
        await (transaction.commit() if commits else transaction.rollback())
        assert await waiting is wanted
    finally:
        await first.close()
        await second.close()


async def test_numbers_that_are_missing_are_counted(line: RelayLine) -> None:
    numbers = [("a", 5, 0), ("a", 6, 0), ("a", 9, 2), ("a", 7, None), ("a", 10, 0), ("b", 1, 0), ("a", 10, None)]
    for key, number, wanted in numbers:
        assert await line.database.fetchval(MISSED, key, number) == wanted, (key, number)


async def test_cleaning_forgets_the_oldest_in_bounded_batches_and_waits_for_nobody(line: RelayLine) -> None:
    await line.database.execute(
        "INSERT INTO outboxrelay.inbox SELECT 'c', i::text, now() - interval '9 days' FROM generate_series(1, 5) i; "
        "INSERT INTO outboxrelay.inbox VALUES ('c', 'new'); "
        "INSERT INTO outboxrelay.inbox_key VALUES ('c', 'k', 1, now() - interval '9 days')"
    )
    clean = "SELECT outboxrelay.inbox_clean('7 days', 2)"
    other = await line.connect()
    async with other.transaction():
        await other.execute("SELECT FROM outboxrelay.inbox WHERE event_id = '1' FOR UPDATE")
        assert [await line.database.fetchval(clean) for _ in range(4)] == [3, 2, 0, 0]
    await other.close()
    assert await line.database.fetchval(clean) == 1
    assert await line.database.fetchval("SELECT string_agg(event_id, ',') FROM outboxrelay.inbox") == "new"
    with pytest.raises(asyncpg.InvalidParameterValueError, match="keep an hour at least"):
        await line.database.fetchval("SELECT outboxrelay.inbox_clean('1 minute')")


async def test_a_consumer_needs_what_the_script_says_and_nothing_else(line: RelayLine) -> None:
    role = f"consumer_{uuid.uuid4().hex[:8]}"
    await line.database.execute(f"CREATE ROLE {role}")
    try:
        for grant in (
            "USAGE ON SCHEMA outboxrelay",
            "INSERT ON outboxrelay.inbox",
            "SELECT, INSERT, UPDATE ON outboxrelay.inbox_key",
        ):
            assert grant in sql("schema/inbox")
            await line.database.execute(f"GRANT {grant} TO {role}")
        async with line.database.transaction():
            await line.database.execute(f"SET LOCAL ROLE {role}")
            assert await inbox.accept(line.database, "e", "c")
            assert not await inbox.accept(line.database, "e", "c")
            assert await inbox.missed(line.database, "c", "k", 1) == 0
            assert await inbox.missed(line.database, "c", "k", 3) == 1
    finally:
        await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_handler_that_fails_is_tried_again_in_its_place_while_other_partitions_go_on(line: RelayLine) -> None:
    send(line, 0, *range(1, 51))
    send(line, 1, *range(1, 51))
    done: list[str] = []
    failures: dict[str, int] = {}

    def handle(_: Any, event: inbox.Event) -> None:
        if event.partition == 0 and event.json()["number"] % 10 == 3:
            failures[event.id] = failures.get(event.id, 0) + 1
            if failures[event.id] < 3:
                raise ValueError("not now")
        done.append(event.id)

    stand = Stand(line, handle, retry=inbox.Retry(attempts=3, first_seconds=0.05))
    await stand.until(lambda: len(done) >= 100)
    assert [event for event in done if event.startswith("0-")] == [f"0-{n}" for n in range(1, 51)]
    assert [event for event in done if event.startswith("1-")] == [f"1-{n}" for n in range(1, 51)]
    assert stand.told == []
    assert set(failures.values()) == {3}


async def test_a_transaction_may_be_one_of_sqlalchemy(line: RelayLine) -> None:
    send(line, 0, 1, 2)
    send(line, 0, 1)
    engine = create_engine(sqlalchemy_uri(line.uri, "psycopg"))
    done: list[str] = []
    try:
        await Stand(line, lambda _, event: done.append(event.id), engine.begin).until(lambda: len(done) == 2)
    finally:
        engine.dispose()
    assert done == ["0-1", "0-2"]


async def test_an_event_that_cannot_be_processed_stops_its_partition_until_it_is_skipped(line: RelayLine) -> None:
    send(line, 0, 1, 2, 3)
    send(line, 1, 1, 2, 3)
    done: list[str] = []

    def handle(_: Any, event: inbox.Event) -> None:
        if event.id == "0-2":
            raise ValueError("poison")
        done.append(event.id)

    stand = Stand(line, handle, retry=inbox.Retry(attempts=2, first_seconds=0.05))
    await stand.until(lambda: len(done) == 4 and stand.told)
    assert sorted(done) == ["0-1", "1-1", "1-2", "1-3"]
    assert "partition 0" in str(stand.told[0])
    assert "offset 1, event 0-2 after 2 attempts: ValueError: poison" in str(stand.told[0])
    async with line.database.transaction():
        await inbox.accept(line.database, "0-2", "c")
    await Stand(line, handle).until(lambda: "0-3" in done)
    assert sorted(done) == ["0-1", "0-3", "1-1", "1-2", "1-3"]


@pytest.mark.parametrize(("on_gap", "wanted"), [("stop", ["0-1", "0-2"]), ("report", ["0-1", "0-2", "0-5", "0-6"])])
async def test_a_gap_in_a_keys_numbers_stops_the_partition_or_is_reported(
    line: RelayLine, on_gap: Any, wanted: list[str]
) -> None:
    send(line, 0, 1, 2, 5, 6)
    done: list[str] = []
    stand = Stand(line, lambda _, event: done.append(event.id), sequence_header="number", on_gap=on_gap)
    await stand.until(lambda: len(done) == len(wanted) and stand.told)
    assert done == wanted
    assert "2 events of key 'k0' did not come before number 5" in str(stand.told[0])


async def test_a_message_that_no_relay_sent_stops_its_partition(line: RelayLine) -> None:
    producer = Producer({"bootstrap.servers": line.servers, "log_level": 2})
    producer.produce(line.topic, b"{}", b"k", partition=0)
    producer.flush(20)
    stand = Stand(line, lambda *_: None)
    await stand.until(lambda: bool(stand.told))
    assert "no header id" in str(stand.told[0])
