"""Delivered rows that are kept: moved whole to the archive or marked, and gone when their time is over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_retention import PostgresRetention
from outboxrelay.adapters.postgres_schema import script
from outboxrelay.adapters.postgres_source import PostgresSettler, PostgresSource
from outboxrelay.api.manifest import RelayManifest, parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault
from tests.support.merging import merged
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

DAY = 86_400.0
ODD = '{"z": 1.10,  "a": "\\u0001 é 漢"}'


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=1) as found:
        yield found


def config(line: RelayLine, **table: Any) -> dict[str, Any]:
    base = line.manifest()
    return merged(base, {"spec": {"source": {"table": table}}})


async def install(line: RelayLine, found: dict[str, Any], *parts: Any) -> RelayManifest:
    manifest = parse_manifest(found)
    for part in parts:
        await line.database.execute(script(part, manifest.spec, None).sql)
    return manifest


def retention(line: RelayLine, manifest: RelayManifest, uri: str = "") -> PostgresRetention:
    return PostgresRetention(manifest, MappingCredentials({("source", "uri"): uri or line.uri}))


async def days(database: asyncpg.Connection) -> list[str]:
    """Suffixes of the partitions by day."""
    rows = await database.fetch(
        "SELECT right(relname, 8) AS day FROM pg_class WHERE relkind = 'r' AND relname ~ '^archive_[0-9a-f]{16}_' "
        "AND relispartition ORDER BY 1"
    )
    return [row["day"] for row in rows]


async def add_day(database: asyncpg.Connection, uid: str, day: str) -> str:
    """A partition of a day gone by; its name."""
    parent = await database.fetchval("SELECT 'archive_' || left(md5($1::text), 16)", uid)
    await database.execute(
        f"CREATE TABLE outboxrelay.{parent}_{day} PARTITION OF outboxrelay.{parent} "
        f"FOR VALUES FROM ('{day} 00:00+00') TO (timestamptz '{day} 00:00+00' + interval '24 hours')"
    )
    return f"{parent}_{day}"


async def test_delivered_rows_move_whole_to_the_archive(line: RelayLine) -> None:
    found = config(line, afterDelivery="Archive")
    await install(line, found, "schema", "archive")
    await line.database.execute(
        "CREATE TABLE outbox (id bigint PRIMARY KEY, event_id text, aggregate_id text, event_type text, payload json, "
        "created_at timestamptz DEFAULT now(), gone text, more bytea, t int)"
    )
    await line.database.execute(
        "INSERT INTO outbox VALUES (1, 'e1', 'k', 'T', $1::text::json, DEFAULT, 'a column', '\\x00ff', 5), "
        "(2, NULL, NULL, 'T', '1', DEFAULT, NULL, NULL, NULL)",
        ODD,
    )
    line.start(config=found)
    await line.emptied()
    rows = await line.database.fetch(
        "SELECT relay, row_id, event_id, key, row, now() - archived_at < interval '1 minute' AS fresh "
        "FROM outboxrelay.archive ORDER BY row_id"
    )
    uid = found["metadata"]["uid"]
    assert [(row["relay"], row["row_id"], row["event_id"], row["key"]) for row in rows] == [
        (uid, "1", "e1", "k"),
        (uid, "2", "2", None),
    ]
    assert all(row["fresh"] for row in rows)
    assert f'"payload":{ODD},' in rows[0]["row"]
    assert '"gone":"a column","more":"\\\\x00ff","t":5}' in rows[0]["row"]


async def test_a_day_that_nobody_prepared_is_made_at_start(line: RelayLine) -> None:
    found = config(line, afterDelivery="Archive", retentionSeconds=3600)
    manifest = await install(line, found, "schema", "archive", "table")
    keeper = retention(line, manifest)
    await keeper.rotate_archive(DAY)
    await keeper.close()
    for day in await days(line.database):
        parent = await line.database.fetchval("SELECT 'archive_' || left(md5($1::text), 16)", manifest.identity.uid)
        await line.database.execute(f"DROP TABLE outboxrelay.{parent}_{day}")
    await line.database.execute("INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')")
    line.start(config=found)
    await line.emptied()
    assert len(await days(line.database)) == 3
    assert await line.database.fetchval("SELECT keep FROM outboxrelay.archive_retention") == (
        await line.database.fetchval("SELECT interval '1 hour'")
    )


async def test_without_an_archive_the_relay_refuses_at_once_and_says_what_to_run(line: RelayLine) -> None:
    found = config(line, afterDelivery="Archive")
    manifest = await install(line, found, "table")
    credentials = MappingCredentials({("source", "uri"): line.uri})
    settler = PostgresSettler(manifest, credentials, PostgresSource(manifest, credentials))
    with pytest.raises(SourceFault, match="outboxrelay sql --part schema --part archive") as caught:
        await settler.settle([1])
    assert caught.value.reason == Reason.TABLE_NOT_FOUND
    relay = line.start(config=found)
    report = await asyncio.to_thread(relay.wait, lambda report: report["source"]["reason"] == "TableNotFound", 20)
    assert not report["ready"]
    await install(line, found, "schema")
    with pytest.raises(SourceFault, match="archive is not there"):
        await settler.settle([1])
    await install(line, found, "archive")
    await asyncio.to_thread(relay.wait_ready)
    await settler.close()


async def test_days_go_when_they_are_older_than_their_own_relay_asks(line: RelayLine) -> None:
    manifest = await install(line, config(line, afterDelivery="Archive"), "schema", "archive")
    keeper = retention(line, manifest)
    made = await keeper.rotate_archive(DAY)
    assert [item.split()[0] for item in made] == ["created"] * 4
    assert await keeper.rotate_archive(DAY) == []
    await line.database.execute("SELECT outboxrelay.rotate_archive('other', 'default/other', '10000 days')")
    uid = manifest.identity.uid
    old, kept = await add_day(line.database, uid, "20250101"), await add_day(line.database, "other", "20250101")
    # The day before yesterday is over for less than a day as long as today is not over.
    recent = await line.database.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYYMMDD')")
    await add_day(line.database, uid, recent)
    assert await keeper.rotate_archive(DAY) == [f"dropped {old}"]
    assert await line.database.fetchval(f"SELECT to_regclass('outboxrelay.{kept}') IS NOT NULL")
    assert (await days(line.database)).count(recent) == 1
    await keeper.close()


async def test_somebody_who_reads_an_old_day_delays_its_end_and_nothing_else(line: RelayLine) -> None:
    manifest = await install(line, config(line, afterDelivery="Archive"), "schema", "archive", "table")
    keeper = retention(line, manifest)
    await keeper.rotate_archive(DAY)
    old = await add_day(line.database, manifest.identity.uid, "20250101")
    reader = await line.connect()
    await reader.execute(f"BEGIN; SELECT FROM outboxrelay.{old}")
    assert await keeper.rotate_archive(DAY) == [f"busy {old}"]
    await reader.execute("ROLLBACK")
    assert await keeper.rotate_archive(DAY) == [f"dropped {old}"]
    await reader.close()
    await keeper.close()


async def test_a_relay_that_is_gone_leaves_nothing_when_its_time_is_over(line: RelayLine) -> None:
    manifest = await install(line, config(line, afterDelivery="Archive"), "schema", "archive")
    await line.database.execute("SELECT outboxrelay.rotate_archive('gone', 'default/gone', '1 day')")
    await line.database.execute("UPDATE outboxrelay.archive_retention SET asked_at = '2025-01-01'")
    keeper = retention(line, manifest)
    await keeper.rotate_archive(DAY)
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.archive_retention") == 2
    parent = await line.database.fetchval("SELECT 'archive_' || left(md5('gone'), 16)")
    for day in await days(line.database):
        await line.database.execute(f"DROP TABLE IF EXISTS outboxrelay.{parent}_{day}")
    assert await keeper.rotate_archive(DAY) == [f"dropped {parent}"]
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.archive_retention") == 1
    await keeper.close()


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
async def test_marked_rows_go_oldest_first_and_no_others(line: RelayLine, kind: str) -> None:
    manifest = await install(line, config(line, afterDelivery="Mark", retentionSeconds=600))
    await line.database.execute("SET timezone = 'Pacific/Auckland'")
    await line.database.execute(
        "CREATE TABLE outbox (id bigint PRIMARY KEY, event_id text, aggregate_id text, event_type text, payload text, "
        f"created_at timestamptz, delivered_at {kind})"
    )
    now = "now()" if kind == "timestamptz" else "now() AT TIME ZONE 'UTC'"
    await line.database.execute(
        f"INSERT INTO outbox (id, delivered_at) SELECT i, {now} - make_interval(secs => 1300 - i) "
        "FROM generate_series(1, 1000) AS i"
    )
    await line.database.execute("INSERT INTO outbox (id) SELECT generate_series(2001, 2010)")
    keeper = retention(line, manifest)
    assert await keeper.delete_marked(600.0, 100) == 100
    assert await line.database.fetchval("SELECT min(id) FROM outbox") == 101
    assert await keeper.delete_marked(600.0, 10_000) in range(600, 640)
    assert await keeper.delete_marked(900.0, 100) == 0
    assert await line.database.fetchval("SELECT count(*) FROM outbox WHERE delivered_at IS NULL") == 10
    await keeper.close()


async def test_a_relay_deletes_what_it_marked_long_ago_and_goes_on_delivering(line: RelayLine) -> None:
    found = config(line, afterDelivery="Mark", retentionSeconds=60)
    await install(line, found, "schema", "table")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, event_type, payload, delivered_at) "
        "SELECT 'k', 'T', '{}', now() - interval '2 minutes' FROM generate_series(1, 2500)"
    )
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, event_type, payload) SELECT 'k', 'T', '{}' FROM generate_series(1, 50)"
    )
    relay = line.start(config=found)
    await line.emptied(rows=50)
    report = await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["rowsTotal"] == 50, 20)
    assert not any("retention" in text for text in report["limitations"])
    assert await line.database.fetchval("SELECT count(*) FROM outbox WHERE delivered_at IS NULL") == 0


async def test_batches_of_retention_use_the_printed_index(line: RelayLine) -> None:
    manifest = await install(line, config(line, afterDelivery="Mark", retentionSeconds=60), "table")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, event_type, payload, delivered_at) "
        "SELECT 'k', 'T', '{}', now() - make_interval(secs => i) FROM generate_series(1, 20000) AS i"
    )
    await line.database.execute("ANALYZE outbox")
    keeper = retention(line, manifest)
    await keeper.delete_marked(1e9, 1)
    plan = await line.database.fetch("EXPLAIN " + keeper._delete.replace("$1", "60").replace("$2", "1000"))
    text = "\n".join(row[0] for row in plan)
    assert "outbox_delivered" in text, text
    assert "Seq Scan" not in text, text
    pending = await line.database.fetch(
        "EXPLAIN SELECT * FROM outbox WHERE id >= 1 AND delivered_at IS NULL ORDER BY id LIMIT 9"
    )
    assert "outbox_pending" in pending[1][0], pending
    await keeper.close()


async def test_a_relay_that_may_not_delete_marked_rows_delivers_and_says_so(line: RelayLine) -> None:
    found = config(line, afterDelivery="Mark", retentionSeconds=60)
    await install(line, found, "table")
    role = await line.database.fetchval("SELECT current_database()")
    await line.database.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT, UPDATE (delivered_at) ON outbox TO {role}; "
        "INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')"
    )
    relay = line.start(config=found, uri=line.uri.replace("outbox:outbox@", f"{role}:x@"))
    try:
        report = await asyncio.to_thread(
            relay.wait, lambda report: any("retentionSeconds" in text for text in report["limitations"]), 20
        )
        [told] = [text for text in report["limitations"] if "retentionSeconds" in text]
        assert f'GRANT DELETE ON public.outbox TO "{role}"' in told
        await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["rowsTotal"] == 1, 20)
    finally:
        await asyncio.to_thread(relay.stop)
        await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
