"""What `outboxrelay sql` prints, run by psql, and a relay whose role has that and nothing more."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.postgres_doorbell import LOCK_CLASS
from outboxrelay.adapters.postgres_grants import outbox_grants, schema_grants
from outboxrelay.api.manifest import parse_manifest
from tests.support.role_line import RoleLine, role_line

pytestmark = pytest.mark.needs_services

HOSTILE = "ev\"il; DROP TABLE x; -- $outboxrelay$ \\ '{0} :b"
ROWS = 20


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[RoleLine]:
    async with role_line(tmp_path) as made:
        yield made


async def granted(database: asyncpg.Connection, role: str) -> set[str]:
    """Every privilege in this database that was granted to ``role`` itself, as "PRIVILEGE object"."""
    rows = await database.fetch(
        """
        WITH lists (object, acl) AS (
            SELECT 'database', datacl FROM pg_database WHERE datname = current_database()
            UNION ALL SELECT 'schema ' || nspname, nspacl FROM pg_namespace
            UNION ALL SELECT oid::regclass::text, relacl FROM pg_class
            UNION ALL SELECT attrelid::regclass::text || '.' || attname, attacl FROM pg_attribute
            UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc
            UNION ALL SELECT 'type ' || typname, typacl FROM pg_type
            UNION ALL SELECT 'language ' || lanname, lanacl FROM pg_language
        )
        SELECT a.privilege_type || ' ' || l.object AS found
        FROM lists l, aclexplode(l.acl) a WHERE a.grantee = $1::text::regrole
        """,
        role,
    )
    return {row["found"] for row in rows}


def names(schema: str, *columns: str) -> set[str]:
    return {f"SELECT {schema}.outbox.{column}" for column in columns}


COLUMNS = ("id", "event_id", "aggregate_id", "event_type", "payload", "created_at")
COMMON = {
    "CONNECT database", "USAGE schema shop", "USAGE schema outboxrelay", "SELECT outboxrelay.quarantine",
    *(f"{privilege} outboxrelay.{table}" for table, privileges in {
        "attempts": "SELECT INSERT UPDATE DELETE",
        "member": "SELECT INSERT DELETE"}.items() for privilege in privileges.split()),
}  # fmt: skip

CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "Delete": ({}, names("shop", *COLUMNS) | {"DELETE shop.outbox"}),
    "Mark": (
        {"source": {"table": {"afterDelivery": "Mark"}}},
        names("shop", *COLUMNS, "delivered_at") | {"UPDATE shop.outbox.delivered_at"},
    ),
    "Archive": (
        {"source": {"table": {"afterDelivery": "Archive"}}},
        {"SELECT shop.outbox", "DELETE shop.outbox", "INSERT outboxrelay.archive",
         "EXECUTE outboxrelay.rotate_archive(text,text,interval)"},
    ),
    "Quarantine": (
        {"poison": {"action": "Quarantine"}},
        {"SELECT shop.outbox", "DELETE shop.outbox", "INSERT outboxrelay.quarantine"},
    ),
    "None": (
        {"ordering": {"mode": "None"}},
        names("shop", *COLUMNS) | {"DELETE shop.outbox", "UPDATE shop.outbox.id"},
    ),
    "Settled, with more columns": (
        {"source": {"read": {"visibility": "Settled"}, "table": {"columns": {"headers": "meta"}}},
         "target": {"headers": [{"name": "tenant", "column": "tenant"}], "topicTemplate": "{region}",
                    "allowedTopics": ["*"]}},
        names("shop", *COLUMNS, "meta", "tenant", "region", "xmin") | {"DELETE shop.outbox"},
    ),
    "Debezium": (
        {"source": {"table": {"preset": "Debezium"}},
         "target": {"topicTemplate": "{aggregatetype}", "allowedTopics": ["*"]}},
        names("shop", "id", "aggregateid", "type", "payload", "aggregatetype", "xmin", "ctid") | {"DELETE shop.outbox"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_a_role_with_the_printed_grants_delivers_and_has_nothing_more(stand: RoleLine, case: str) -> None:
    spec, wanted = CASES[case]
    config = stand.config(**spec)
    await stand.install(config, "all")
    assert await granted(stand.line.database, stand.role) == COMMON | wanted
    if case == "Debezium":
        await stand.line.database.execute(
            "INSERT INTO shop.outbox (aggregatetype, aggregateid, type, payload) "
            f"SELECT '{stand.line.topic}', 'k', 'T', '{{}}' FROM generate_series(1, {ROWS})"
        )
    elif "topicTemplate" in config["spec"]["target"]:
        await stand.insert(ROWS, ", region", f", '{stand.line.topic}'")
    else:
        await stand.insert(ROWS)
    relay = stand.start(config)
    pending = "shop.outbox WHERE delivered_at IS NULL" if case == "Mark" else "shop.outbox"
    await stand.line.emptied(pending)
    report = await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["rowsTotal"] >= ROWS, 20)
    limitations = [text for text in report["limitations"] if "best effort" not in text]
    assert limitations == []
    assert report["source"]["healthy"]


NEEDED: dict[str, dict[str, Any]] = {
    "Delete, Quarantine": {"poison": {"action": "Quarantine"}},
    "Mark": {"source": {"table": {"afterDelivery": "Mark", "retentionSeconds": 60}}},
    "Archive": {"source": {"table": {"afterDelivery": "Archive"}}},
    "None": {"ordering": {"mode": "None"}},
}


@pytest.mark.parametrize("case", NEEDED)
async def test_each_grant_is_needed_and_the_relay_names_the_one_it_lacks(stand: RoleLine, case: str) -> None:
    config = stand.config(**NEEDED[case])
    await stand.install(config, "all")
    spec = parse_manifest(config).spec
    told: dict[str, str] = {}
    for grant, _ in (*outbox_grants(spec), *schema_grants(spec)):
        await stand.line.database.execute(f"REVOKE {grant} FROM {stand.role}")
        relay = stand.start(config)
        report = await asyncio.to_thread(relay.wait, complains, 30)
        told[grant] = " ".join([report["source"]["message"], *report["limitations"]])
        await asyncio.to_thread(relay.stop)
        await stand.line.database.execute(f"GRANT {grant} TO {stand.role}")
    for grant, message in told.items():
        privileges, _, place = grant.partition(" ON ")
        words = {re.sub(r" \(.*", "", privilege) for privilege in privileges.split(", ")}
        assert any(word in message for word in words), (grant, message)
        assert place.replace('"', "").rpartition(" ")[2].rpartition(".")[2] in message, (grant, message)


def complains(report: dict[str, Any]) -> bool:
    """Whether the relay says of itself that it lacks a privilege."""
    lacks = report["source"]["reason"] == "PermissionDenied"
    return lacks or any("GRANT" in text or "grant" in text for text in report["limitations"])


async def test_a_role_that_may_not_connect_is_told(stand: RoleLine) -> None:
    relay = stand.start(stand.config())
    report = await asyncio.to_thread(relay.wait, lambda report: report["source"]["reason"] == "PermissionDenied", 20)
    assert "permission denied for database" in report["source"]["message"]


async def test_without_schema_outboxrelay_a_relay_delivers_and_says_what_it_cannot_do(stand: RoleLine) -> None:
    config = stand.config()
    printed = await stand.install(config, "all")
    assert "CREATE SCHEMA IF NOT EXISTS outboxrelay" in printed
    await stand.line.database.execute("DROP SCHEMA outboxrelay CASCADE")
    await stand.insert(ROWS)
    relay = stand.start(config)
    await stand.line.emptied("shop.outbox")
    report = await asyncio.to_thread(relay.wait, lambda report: len(report["limitations"]) == 2, 20)
    assert report["ready"]
    assert "schema outboxrelay is missing" in report["limitations"][0]
    assert all("outboxrelay sql" in text for text in report["limitations"])


async def test_a_writer_needs_no_privilege_for_the_doorbell_which_rings_only_for_sleepers(stand: RoleLine) -> None:
    await stand.install(stand.config(), "schema", "table", "doorbell")
    database = stand.line.database
    writer = f"writer_{stand.role}"
    await database.execute(f"CREATE ROLE {writer}; GRANT USAGE ON SCHEMA shop TO {writer}")
    await database.execute(f"GRANT INSERT ON shop.outbox TO {writer}")
    heard: list[str] = []
    listener = await asyncpg.connect(stand.line.uri)
    table = await database.fetchval("SELECT 'shop.outbox'::regclass::oid")
    keys = (LOCK_CLASS, table)
    await listener.add_listener(f"outboxrelay_{table}", lambda *found: heard.append(str(found[2])))
    try:
        await database.execute(f"SET ROLE {writer}")
        await stand.insert(3)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.execute("SELECT outboxrelay.rotate_archive('x', 'x', '1 day')")
        await database.execute("RESET ROLE")
        await listener.execute("SELECT pg_advisory_lock($1 + b, $2::oid::int) FROM generate_series(0, 3) b", *keys)
        await database.execute(f"SET ROLE {writer}")
        await stand.insert(3)
        await listener.execute("SELECT pg_advisory_unlock($1 + b, $2::oid::int) FROM generate_series(0, 3) b", *keys)
        await stand.insert(3)
        await listener.execute("SELECT 1")
        assert heard == [f"outboxrelay_{table}"]
    finally:
        await listener.close()
        await database.execute(f"RESET ROLE; DROP OWNED BY {writer}; DROP ROLE {writer}")


async def test_a_partitioned_outbox_delivers_rings_and_is_vacuumed_by_partition(stand: RoleLine) -> None:
    database = stand.line.database
    await database.execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.outbox (id bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL "
        "DEFAULT gen_random_uuid(), aggregate_id text, event_type text, payload jsonb, created_at timestamptz NOT NULL "
        "DEFAULT now(), PRIMARY KEY (id)) PARTITION BY RANGE (id)"
    )
    for number in range(3):
        bounds = f"({number * 10}) TO ({number * 10 + 10})"
        await database.execute(f"CREATE TABLE shop.part{number} PARTITION OF shop.outbox FOR VALUES FROM {bounds}")
    config = stand.config()
    await stand.install(config, "schema", "table", "autovacuum", "doorbell", "grants")
    options = await database.fetch("SELECT reloptions FROM pg_class WHERE relname LIKE 'part_'")
    assert len(options) == 3
    assert all("autovacuum_vacuum_threshold=5000" in row[0] for row in options)
    relay = stand.start(config)
    await asyncio.to_thread(relay.wait_ready)
    async with asyncio.timeout(20):
        while not await database.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND mode = 'ExclusiveLock' "
            "AND objid = 'shop.outbox'::regclass"
        ):
            await asyncio.sleep(0.02)
    await stand.insert(ROWS)
    await stand.line.emptied("shop.outbox")
    report = await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["rowsTotal"] == ROWS, 20)
    assert report["limitations"] == []


async def test_the_autovacuum_settings_are_accepted_by_the_table_and_its_toast(stand: RoleLine) -> None:
    await stand.install(stand.config(), "table", "autovacuum")
    row = await stand.line.database.fetchrow(
        "SELECT c.reloptions AS own, t.reloptions AS toast FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid "
        "WHERE c.oid = 'shop.outbox'::regclass"
    )
    assert {"autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_cost_delay=0"} <= set(row["own"])
    assert "autovacuum_vacuum_threshold=5000" in row["toast"]


async def test_hostile_names_are_only_names(stand: RoleLine) -> None:
    table = {"schema": HOSTILE, "name": HOSTILE, "columns": {"key": f"key {HOSTILE}", "eventId": ""},
             "afterDelivery": "Mark", "retentionSeconds": 60}  # fmt: skip
    config = stand.config(source={"table": table})
    before = await stand.line.database.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ev%'")
    await stand.install(config, "all")
    found = await stand.line.database.fetch(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname LIKE 'ev%'"
    )
    assert [tuple(row) for row in found] == [(HOSTILE, HOSTILE)]
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    await stand.line.database.execute(f"INSERT INTO {quoted}.{quoted} (event_type, payload) VALUES ('T', '{{}}')")
    stand.start(config)
    await stand.line.emptied(f"{quoted}.{quoted} WHERE delivered_at IS NULL")
    after = await stand.line.database.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ev%'")
    assert before == after


async def test_a_script_of_an_older_release_refuses_tables_of_a_newer_one(stand: RoleLine) -> None:
    printed = await stand.install(stand.config(), "schema")
    await stand.line.database.execute("UPDATE outboxrelay.schema_version SET version = 99")
    with pytest.raises(asyncpg.RaiseError, match="newer release"):
        await stand.line.database.execute(printed)
    await stand.line.database.execute("ROLLBACK")
