"""outboxrelay quarantine against the real database, and the relay after it."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.support.records import headers_of, records_of
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

CREATE = (
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid DEFAULT gen_random_uuid(), "
    "aggregate_id text, event_type text DEFAULT 'T', payload json, created_at timestamptz DEFAULT now(), "
    "blob bytea, price numeric, tags text[], doc jsonb, twice numeric GENERATED ALWAYS AS (price * 2) STORED)"
)
ODD = '{"a" :  1.10, "a": "\\u00e9"}'


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, settings={"max.message.bytes": "20000"}) as found:
        await found.database.execute(CREATE)
        await found.install()
        yield found


def run(line: RelayLine, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outboxrelay", "quarantine", *arguments]
    environment = {**os.environ, "OUTBOXRELAY_DATABASE_URI": line.uri, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


async def spoil(line: RelayLine, keys: int = 1) -> None:
    """Of each key: a good row, two that are too large, a good one."""
    for number in range(keys):
        for payload in ('{"n": 1}', json.dumps("x" * 30000), json.dumps("y" * 30000), '{"n": 4}'):
            await line.database.execute(
                "INSERT INTO outbox (aggregate_id, payload) VALUES ($1, $2::text::json)", f"k{number}", payload
            )


async def quarantined(line: RelayLine, keys: int = 1) -> Any:
    await spoil(line, keys)
    relay = line.start(poison={"action": "Quarantine", "maxAttempts": 1})
    relay.wait(lambda report: report["quarantine"]["rows"] == 2 * keys, 30)
    await line.emptied()
    return relay


async def test_replayed_rows_keep_their_event_id_and_the_order_of_their_key(line: RelayLine) -> None:
    await quarantined(line)
    rows = await line.database.fetch("SELECT id, event_id FROM outboxrelay.quarantine ORDER BY id")
    later = run(line, "replay", "--id", str(rows[1]["id"]))
    assert later.returncode == 2
    assert "came before" in later.stderr
    entry = ConfigEntry("max.message.bytes", "100000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, line.topic, incremental_configs=[entry])
    client = AdminClient({"bootstrap.servers": line.servers})
    [future] = client.incremental_alter_configs([resource]).values()
    await asyncio.to_thread(future.result, 30)
    await asyncio.to_thread(line.relays[0].stop)
    line.start(poison={"action": "Quarantine", "maxAttempts": 1})
    dry = run(line, "replay", "--key", "k0", "--dry-run", "-o", "json")
    assert json.loads(dry.stdout) == {"action": "replay", "dryRun": True, "ids": [row["id"] for row in rows]}
    assert await line.pending() == 0
    done = run(line, "replay", "--key", "k0", "--note", "limit raised")
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"replay 2 rows: {rows[0]['id']}, {rows[1]['id']}"])
    await line.emptied()
    found = await records_of(line.servers, line.topic, 4)
    by_offset = [(record.value() or b"")[:2] for record in found]
    assert by_offset == [b'{"', b'{"', b'"x', b'"y']
    assert [headers_of(record)["id"] for record in found[2:]] == [row["event_id"] for row in rows]
    audit = await line.database.fetchrow("SELECT action, ids, rows, note, by_role FROM outboxrelay.quarantine_audit")
    assert (audit["action"], audit["ids"], audit["rows"], audit["note"]) == (
        "replay", [row["id"] for row in rows], 2, "limit raised",
    )  # fmt: skip


async def test_a_row_comes_back_exactly_as_it_was(line: RelayLine) -> None:
    config = line.folder / "relay.json"
    config.write_text(json.dumps(line.manifest()))
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload, blob, price, tags, doc, created_at) VALUES "
        "('k''\"', $1::text::json, '\\x00ff', 1.10, '{a,NULL,\"b,c\"}', '{\"z\": 1.0}', "
        "'2026-01-02 03:04:05.678901+02')",
        ODD,
    )
    before = await line.database.fetchrow("SELECT o.*, payload::text AS exact FROM outbox o")
    added = run(line, "add", "--config", str(config), "--row", str(before["id"]), "--note", "for a test")
    assert (added.returncode, added.stdout) == (0, "moved 1 of 1 row\n"), added.stderr
    assert await line.pending() == 0
    assert run(line, "replay", "--all").returncode == 0
    assert await line.database.fetchrow("SELECT o.*, payload::text AS exact FROM outbox o") == before


async def test_skipped_and_dropped_rows_stay_as_a_record_and_a_dropped_one_is_empty(line: RelayLine) -> None:
    await quarantined(line)
    first, second = (
        row["id"] for row in await line.database.fetch("SELECT id FROM outboxrelay.quarantine ORDER BY id")
    )
    assert run(line, "skip", "--id", str(first)).returncode == 0
    assert run(line, "drop", "--id", str(second)).returncode == 0
    states = dict(await line.database.fetch("SELECT id, state FROM outboxrelay.quarantine"))
    assert states == {first: "Skipped", second: "Dropped"}
    assert (
        await line.database.fetchval('SELECT "row"::text FROM outboxrelay.quarantine WHERE id = $1', second) == "null"
    )
    assert run(line, "skip", "--id", str(first)).returncode == 3, "it is done with"
    actions = await line.database.fetch("SELECT action FROM outboxrelay.quarantine_audit ORDER BY id")
    assert [row["action"] for row in actions] == ["skip", "drop"]


async def test_rows_are_listed_and_shown_for_people_and_for_programs(line: RelayLine) -> None:
    await quarantined(line)
    listed = run(line, "list")
    assert listed.stdout.splitlines()[0].split() == [
        "ID", "RELAY_NAME", "KEY", "REASON", "ATTEMPTS", "QUARANTINED_AT", "MESSAGE",
    ]  # fmt: skip
    assert "RowTooLarge" in listed.stdout
    found = json.loads(run(line, "list", "--reason", "RowTooLarge", "--relay", "default/line", "-o", "json").stdout)
    assert len(found) == 2
    shown = json.loads(run(line, "show", str(found[0]["id"]), "-o", "json").stdout)
    assert shown["row"]["payload"] == "x" * 30000
    assert run(line, "list", "--key", "nobody").returncode == 3
    unknown = run(line, "show", "99999")
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert "there is no row 99999 in quarantine; outboxrelay quarantine list --state all" in unknown.stderr


async def test_rows_that_hold_their_key_are_listed_too(line: RelayLine) -> None:
    await spoil(line)
    relay = line.start()
    relay.wait(lambda report: report["held"]["keys"] == 1, 30)
    async with asyncio.timeout(20):
        while not (found := json.loads(run(line, "list", "--held", "-o", "json").stdout or "[]")):
            await asyncio.sleep(0.2)
    assert [(row["key"], row["reason"], row["attempts"]) for row in found] == [("k0", "RowTooLarge", 1)]
    for filter, code in (("--key=k0", 0), ("--key=k1", 3), ("--reason=RowTooLarge", 0), ("--reason=RowRejected", 3)):
        assert run(line, "list", "--held", filter).returncode == code, filter


async def test_a_held_key_goes_on_when_its_row_is_moved_aside_by_hand(line: RelayLine) -> None:
    await line.database.execute("INSERT INTO outbox (aggregate_id, payload) VALUES ('k', to_json(repeat('x', 30000)))")
    await line.database.execute("INSERT INTO outbox (aggregate_id, payload) VALUES ('k', '{}')")
    # Tried again every few seconds, for that the test need not wait a minute.
    relay = line.start(poison={"action": "Quarantine", "maxAttempts": 1000})
    relay.wait(lambda report: report["held"]["keys"] == 1, 30)
    config = line.folder / "relay.json"
    config.write_text(json.dumps(line.manifest()))
    absent = run(line, "add", "--config", str(config), "--row", "777")
    assert (absent.returncode, absent.stdout) == (3, "moved 0 of 1 row\n")
    assert "not pending in public.outbox: 777" in absent.stderr
    wrong = run(line, "add", "--config", str(config), "--row", "first")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert '"first"; give it as the table\'s id column holds it' in wrong.stderr
    assert run(line, "add", "--config", str(config), "--row", "1").returncode == 0
    await line.emptied(seconds=120)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "name rows by --id, --key or --reason, or say --all"),
        (["list", "--uri-file", "/nowhere"], "--uri-file /nowhere: No such file"),
        (["list", "--id", "x"], "'x' is not the number of a row"),
        (["list", "--colour"], "No such option"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(line: RelayLine, arguments: list[str], words: str) -> None:
    done = run(line, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_a_database_without_the_schema_is_named(line: RelayLine) -> None:
    await line.database.execute("DROP SCHEMA outboxrelay CASCADE")
    done = run(line, "list")
    assert (done.returncode, "run what `outboxrelay sql` prints" in done.stderr) == (1, True)


async def test_a_login_that_fails_or_may_too_little_says_what_to_do_and_no_password(line: RelayLine) -> None:
    role = f"reader_{uuid.uuid4().hex[:8]}"
    await line.database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right-one'")
    try:
        place = line.uri.rpartition("@")[2]
        for password, words in (
            ("wrong-one", "check user and password in OUTBOXRELAY_DATABASE_URI"),
            ("right-one", "log in as the owner of schema outboxrelay"),
        ):
            done = run(line, "list", OUTBOXRELAY_DATABASE_URI=f"postgresql://{role}:{password}@{place}")
            assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
            assert words in done.stderr
            assert password not in done.stderr
    finally:
        await line.database.execute(f"DROP ROLE {role}")
