"""What arrives, byte by byte, and what happens to a row that never can."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from tests.support.records import Records
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, settings={"max.message.bytes": "20000"}) as found:
        yield found


async def records(line: RelayLine, count: int, **options: Any) -> list[Message]:
    with Records(line.servers, line.topic) as consumer:
        assert await asyncio.to_thread(consumer.wait_until, lambda: len(consumer.records) >= count, 30)
        return sorted(consumer.records, key=lambda record: int(dict(record.headers() or [])["sequence"] or b"0"))


ODD = '{"a": "\\u0001 é 漢 \\ud83d\\ude00", "n": 1.10, "b": [true, null], "z": "\\"\\\\"}'


@pytest.mark.parametrize("kind", ["jsonb", "json", "text", "character varying", "bytea"])
async def test_the_value_is_the_column_byte_by_byte(line: RelayLine, kind: str) -> None:
    await line.database.execute(
        f"CREATE TABLE outbox (id bigserial PRIMARY KEY, event_id uuid, aggregate_id text, event_type text, "
        f"payload {kind}, created_at timestamptz DEFAULT '2026-01-02T03:04:05.678Z')"
    )
    if kind == "bytea":
        values: list[Any] = [bytes(range(256)), b"", b"\x00\x00\x00\x00\x01avro"]
    else:
        values = [ODD, '{"plain": 1}', json.dumps("x" * 9000)]
    event = str(uuid.uuid4())
    for value in values:
        await line.database.execute(
            f"INSERT INTO outbox (event_id, aggregate_id, event_type, payload) VALUES ($1, 'k', 'T', $2::{kind})",
            event, value,
        )  # fmt: skip
    as_bytes = "payload" if kind == "bytea" else "convert_to(payload::text, 'UTF8')"
    expected = [bytes(row[0]) for row in await line.database.fetch(f"SELECT {as_bytes} FROM outbox ORDER BY id")]
    line.start()
    found = await records(line, len(values))
    assert [record.value() for record in found] == expected
    assert found[0].headers() == [("id", event.encode()), ("type", b"T"), ("sequence", b"1")]
    assert found[0].timestamp()[1] == 1767323045678
    assert found[0].key() == b"k"


async def test_mapped_headers_come_first_and_a_table_may_have_any_shape(line: RelayLine) -> None:
    await line.database.execute(
        'CREATE SCHEMA "Odd ""schema"; CREATE TABLE "Odd ""schema"."Out;box" '
        '("no" int PRIMARY KEY, "Key" int, body text, extra jsonb)'
    )
    table = 'INSERT INTO "Odd ""schema"."Out;box" VALUES '
    await line.database.execute(table + """(7, 42, 'x', '{"trace": "t", "id": "mine", "none": null, "n": 1.50}')""")
    await line.database.execute(table + """(8, 43, 'y', '{"bad": {}}'), (9, 44, NULL, NULL), (10, 42, 'z', NULL)""")
    columns = {"id": "no", "eventId": "", "key": "Key", "type": "", "payload": "body"}
    config = line.manifest()
    config["spec"]["source"]["table"] = {
        "schema": 'Odd "schema',
        "name": "Out;box",
        "columns": {**columns, "headers": "extra", "createdAt": ""},
    }
    relay = line.start(config=config)
    found = await records(line, 2)
    assert [record.value() for record in found] == [b"x", b"z"]
    assert found[0].headers() == [
        ("n", b"1.50"), ("id", b"mine"), ("none", None), ("trace", b"t"), ("id", b"7"), ("sequence", b"7"),
    ]  # fmt: skip
    report = await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 2, 30)
    assert [(row["rowId"], row["reason"]) for row in report["held"]["rows"]] == [
        (8, "RowUnmappable"), (9, "RowUnmappable"),
    ]  # fmt: skip


async def test_an_oversize_row_among_a_thousand_holds_its_key_and_all_others_arrive(line: RelayLine) -> None:
    await line.database.execute(Path("examples/outbox.sql").read_text())
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, event_type, payload) SELECT 'k' || i % 50, 'T', "
        "jsonb_build_object('filler', CASE i WHEN 500 THEN "
        "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 800) n) ELSE 'x' END) "
        "FROM generate_series(1, 1000) i"
    )
    relay = line.start()
    await line.emptied(rows=11)
    report = await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 1, 30)
    held = report["held"]["rows"][0]
    assert (held["rowId"], held["key"], held["reason"]) == (500, "k0", "RowTooLarge")
    assert report["held"]["overtakenRows"] == 0
    left = await line.database.fetch("SELECT id, aggregate_id FROM outbox ORDER BY id")
    assert [row["id"] for row in left] == list(range(500, 1001, 50))
    await line.database.execute("DELETE FROM outbox WHERE id = 500")


async def test_mark_sets_the_column_and_leaves_the_rows(line: RelayLine) -> None:
    await line.database.execute(Path("examples/outbox.sql").read_text())
    await line.database.execute("ALTER TABLE outbox ADD COLUMN delivered_at timestamptz")
    await line.database.execute("CREATE INDEX ON outbox (id) WHERE delivered_at IS NULL")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, event_type, payload) SELECT 'k', 'T', '{}' FROM generate_series(1, 500)"
    )
    config = line.manifest()
    config["spec"]["source"]["table"]["afterDelivery"] = "Mark"
    relay = line.start(config=config)
    await line.emptied("outbox WHERE delivered_at IS NULL")
    assert await asyncio.to_thread(relay.stop) == 0
    assert await line.pending() == 500
    assert len(await records(line, 500)) == 500


async def test_keys_go_to_the_partitions_where_java_producers_put_them(line: RelayLine) -> None:
    """toPositive(murmur2(key)) % 3, from Kafka's own test vectors of murmur2."""
    hashes = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    hashes |= {"a-little-bit-longer-string": -1486304829, "abc": 479470107}
    await line.database.execute(Path("examples/outbox.sql").read_text())
    for key in hashes:
        await line.database.execute(
            "INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ($1, 'T', '{}')", key
        )
    line.start()
    found = {bytes(record.key() or b"").decode(): record.partition() for record in await records(line, len(hashes))}
    assert found == {key: (value & 0x7FFFFFFF) % 3 for key, value in hashes.items()}


async def test_tls_is_verified_to_the_database_and_to_the_brokers_with_sasl(line: RelayLine) -> None:
    ca = Path(os.environ["OUTBOXRELAY_CA_FILE"]).read_text()
    folder = line.folder / "credentials"
    for name, key, value in (
        ("source", "ca", ca),
        ("kafka", "username", "relay"),
        ("kafka", "password", "relay-secret"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / key).write_text(value)
    await line.database.execute(Path("examples/outbox.sql").read_text())
    await line.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")
    config = line.manifest()
    reference = {"name": "source", "key": "ca"}
    config["spec"]["source"]["database"]["caSecretRef"] = reference
    config["spec"]["target"] |= {
        "bootstrapServers": os.environ["OUTBOXRELAY_KAFKA_SASL_SSL_SERVERS"].split(","),
        "protocol": "SASL_SSL", "saslMechanism": "SCRAM-SHA-512",
        "credentialsSecretRef": {"name": "kafka"}, "caSecretRef": reference,
    }  # fmt: skip
    relay = line.start(config=config, uri=line.uri.replace("sslmode=disable", "sslmode=verify-full"))
    await line.emptied()
    await asyncio.to_thread(relay.wait_ready)
    encrypted = await line.database.fetchval(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE datname = current_database() AND application_name LIKE 'outboxrelay%'"
    )
    assert encrypted is True
