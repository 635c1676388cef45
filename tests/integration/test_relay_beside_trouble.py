"""Trouble that must stay where it is: locked rows, huge headers, limits that were just raised, hosts that refuse."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tests.support.records import headers_of, records_of
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

CREATE = (
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid DEFAULT gen_random_uuid(), "
    "aggregate_id text, event_type text DEFAULT 'Placed', payload text, headers json, created_at timestamptz "
    "DEFAULT now())"
)
FILL = "INSERT INTO outbox (aggregate_id, payload) SELECT 'k' || n % 10, n::text FROM generate_series(1, $1::int) AS n"
TOO_LARGE = "INSERT INTO outbox (aggregate_id, payload) VALUES ('k1', repeat('x', 30000))"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, settings={"max.message.bytes": "20000"}) as found:
        await found.database.execute(CREATE)
        await found.install()
        yield found


async def raise_limit(line: RelayLine, most: int = 1_000_000) -> None:
    entry = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, line.topic, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": line.servers})
    for future in client.incremental_alter_configs([resource]).values():
        await asyncio.to_thread(future.result, 30)


async def replay(uri: str) -> None:
    command = (".venv/bin/outboxrelay", "quarantine", "replay", "--all", "--force")
    environment = {**os.environ, "OUTBOXRELAY_DATABASE_URI": uri}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == 0


async def test_a_row_is_not_called_too_large_for_what_the_topic_took_a_while_ago(line: RelayLine) -> None:
    relay = line.start(poison={"action": "Quarantine", "maxAttempts": 1})
    await line.database.execute(TOO_LARGE)
    await asyncio.to_thread(relay.wait, lambda report: report["quarantine"]["rows"] == 1, 30)
    await raise_limit(line)
    await replay(line.uri)
    assert len(await records_of(line.servers, line.topic, 1)) == 1
    await line.emptied()


async def test_a_delivered_row_that_somebody_has_locked_holds_up_nobody(line: RelayLine) -> None:
    await line.database.execute(FILL, 200)
    other = await line.connect()
    await other.execute("BEGIN; UPDATE outbox SET payload = payload WHERE id IN (7, 120)")
    relay = line.start()
    await line.emptied(rows=2)
    await line.database.execute(FILL, 100)
    await line.emptied(rows=2)
    report = await asyncio.to_thread(relay.wait, lambda report: bool(report["notices"]), 20)
    assert "locked by another session" in report["notices"][0]
    assert report["source"]["healthy"]
    await other.execute("ROLLBACK")
    await line.emptied()
    await other.close()
    assert len(await records_of(line.servers, line.topic, 300)) == 300, "nothing is sent again"


async def test_without_order_a_row_that_cannot_be_sent_does_not_end_the_process(line: RelayLine) -> None:
    await line.database.execute(FILL, 300)
    await line.database.execute("UPDATE outbox SET payload = repeat('x', 30000) WHERE id = 15")
    relay = line.start(ordering={"mode": "None"}, flow={"maxBytesPerSecond": 2000}, source={"read": {"batchSize": 50}})
    await line.emptied(rows=30, seconds=90)
    assert relay.process.poll() is None
    found = {int(record.value() or b"0") for record in await records_of(line.servers, line.topic, 270)}
    assert found >= {number for number in range(1, 301) if number % 10 != 5}


async def test_rows_with_large_headers_are_read_in_small_pieces_and_what_is_too_large_is_the_rows_fault(
    line: RelayLine,
) -> None:
    await raise_limit(line, 2_000_000)
    await line.database.execute(FILL, 300)
    await line.database.execute("UPDATE outbox SET headers = json_build_object('h', repeat('y', 600000))")
    huge = (
        "UPDATE outbox SET headers = json_build_object('h', repeat('y', 40000000)), aggregate_id = 'huge' WHERE id = 9"
    )
    await line.database.execute(huge)
    relay = line.start(source={"table": {"columns": {"headers": "headers"}}})
    await line.emptied(rows=1, seconds=120)
    report = await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 1, 20)
    assert report["held"]["rows"][0]["reason"] == "RowTooLarge"
    peak = relay.memory_mb("VmHWM")
    print(f"300 rows with 600 kB of headers each: at most {peak:.0f} MB resident")
    assert peak < 400, "all of them at once are 180 MB as texts, and several times that on their way"
    assert len(await records_of(line.servers, line.topic, 299)) == 299


async def test_every_host_of_a_uri_is_tried_whatever_is_wrong_with_the_first(line: RelayLine) -> None:
    await line.database.execute(FILL, 20)
    address = line.uri.split("@")[1].split("/")[0]
    uri = line.uri.replace(address, f"127.0.0.1:1,{address}")
    line.start(uri=uri)
    await line.emptied()


async def test_a_uuid_is_no_sequence(line: RelayLine) -> None:
    await line.database.execute(
        "CREATE TABLE events (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, event_id text DEFAULT 'e', "
        "aggregate_id text, event_type text DEFAULT 'T', payload text, created_at timestamptz DEFAULT now())"
    )
    await line.database.execute("INSERT INTO events (aggregate_id, payload) VALUES ('k', '1')")
    line.start(config=line.manifest(table="events"))
    await line.emptied("events")
    [record] = await records_of(line.servers, line.topic, 1)
    assert set(headers_of(record)) == {"id", "type"}


async def test_a_database_in_which_a_text_may_hold_anything_is_refused(line: RelayLine, tmp_path: Path) -> None:
    name = f"ascii_{uuid.uuid4().hex[:8]}"
    server: Any = await asyncpg.connect(os.environ["OUTBOXRELAY_POSTGRES_URI"])
    await server.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        uri = line.uri.replace(line.uri.split("/")[-1].split("?")[0], name)
        relay = line.start(uri=uri)
        report = await asyncio.to_thread(relay.wait, lambda report: report["source"]["healthy"] is False, 20)
        assert report["source"]["reason"] == "UnsupportedServer"
        assert "SQL_ASCII" in report["source"]["message"]
        await asyncio.to_thread(relay.stop)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()
