"""Rows that cannot be sent, of every cause, under every policy, through the real servers."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from tests.support.records import headers_of, records_of
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

CREATE = (
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid DEFAULT gen_random_uuid(), "
    "aggregate_id text, event_type text DEFAULT 'Placed', payload text, headers json, region text DEFAULT 'here', "
    "partition int, created_at timestamptz DEFAULT now())"
)
FILL = "INSERT INTO outbox (aggregate_id, payload) SELECT 'k' || n % 500, n::text FROM generate_series(1, $1::int) AS n"
CAUSES = (
    "payload = repeat('x', 30000)",
    "payload = NULL",
    "headers = '[1]'",
    "region = 'secret'",
    "partition = -1",
)
COLUMNS = {"headers": "headers", "partition": "partition"}


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, settings={"max.message.bytes": "20000"}) as found:
        await found.database.execute(CREATE)
        await found.install()
        yield found


def spec(line: RelayLine, **poison: Any) -> dict[str, Any]:
    target = {"topic": None, "topicTemplate": f"{line.topic}{{region}}", "allowedTopics": [line.topic]}
    return {"source": {"table": {"columns": COLUMNS}}, "target": target, "poison": poison}


def in_order(found: list[Message]) -> bool:
    """Whether numbers grow within each key, repeats dropped."""
    last: dict[bytes, int] = {}
    for record in found:
        key, number = record.key() or b"", int((record.value() or b"0").strip(b"x") or b"0")
        if number < last.get(key, 0):
            return False
        last[key] = number
    return True


async def spoil(line: RelayLine) -> set[int]:
    """Twenty poison rows of five causes, each in a key of its own; their ids."""
    await line.database.execute(FILL, 10_000)
    await line.database.execute("UPDATE outbox SET region = ''")
    spoilt: set[int] = set()
    for number in range(20):
        row_id = 1000 + 37 * number
        await line.database.execute(f"UPDATE outbox SET {CAUSES[number % 5]} WHERE id = $1", row_id)
        spoilt.add(row_id)
    return spoilt


async def test_twenty_poison_rows_of_five_causes_hold_their_keys_and_nothing_else(line: RelayLine) -> None:
    spoilt = await spoil(line)
    waiting = {n for row_id in spoilt for n in range(row_id, 10_001, 500)}
    relay = line.start(**spec(line))
    await line.emptied(rows=len(waiting))
    report = relay.wait(lambda found: found["held"]["keys"] == 20, 20)
    assert report["held"]["overtakenRows"] == 0
    left = {row["id"] for row in await line.database.fetch("SELECT id FROM outbox")}
    assert left == waiting
    found = await records_of(line.servers, line.topic, 10_000 - len(waiting))
    assert {int(record.value() or b"0") for record in found} == set(range(1, 10_001)) - waiting
    assert len(found) == 10_000 - len(waiting), "everything else arrives once"
    assert in_order(found)
    counted = await line.database.fetch("SELECT row_id, reason, finished FROM outboxrelay.attempts")
    assert {int(row["row_id"]) for row in counted} == spoilt
    assert {row["reason"] for row in counted} == {"RowTooLarge", "RowUnmappable"}


async def test_quarantined_rows_are_whole_and_named_and_their_keys_go_on(line: RelayLine) -> None:
    spoilt = await spoil(line)
    before = {
        row["id"]: dict(row) for row in await line.database.fetch("SELECT * FROM outbox WHERE id = ANY($1)", spoilt)
    }
    relay = line.start(**spec(line, action="Quarantine", maxAttempts=2))
    await line.emptied()
    relay.wait(lambda report: report["quarantine"]["rows"] == 20, 30)
    assert (relay.state() or {})["held"]["keys"] == 0
    found = await records_of(line.servers, line.topic, 10_000 - 20)
    assert {int(record.value() or b"0") for record in found} == set(range(1, 10_001)) - spoilt
    rows = await line.database.fetch("SELECT * FROM outboxrelay.quarantine ORDER BY id")
    assert {int(row["row_id"]) for row in rows} == spoilt
    assert {row["attempts"] for row in rows} == {2}
    for row in rows:
        whole = json.loads(row["row"])
        assert whole["payload"] == before[int(row["row_id"])]["payload"]
        assert (row["key"], row["event_id"]) == (whole["aggregate_id"], whole["event_id"])
        assert row["message"]
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.attempts") == 0


async def test_dead_letters_tell_their_cause_and_where_they_come_from(line: RelayLine) -> None:
    dead = f"{line.topic}.dead"
    await line.topics(dead, partitions=1)
    await line.database.execute(FILL, 50)
    await line.database.execute("UPDATE outbox SET region = ''")
    await line.database.execute("UPDATE outbox SET headers = '[1]' WHERE id = 7")
    await line.database.execute("UPDATE outbox SET payload = repeat('x', 30000) WHERE id = 8")
    relay = line.start(**spec(line, action="DeadLetterTopic", deadLetterTopic=dead, maxAttempts=2))
    await line.emptied()
    relay.wait(lambda report: report["quarantine"]["movedTotal"] == 2, 30)
    found = {headers_of(record)["outboxrelay.row"]: record for record in await records_of(line.servers, dead, 2)}
    assert set(found) == {"7", "8"}
    told = headers_of(found["7"])
    assert told["outboxrelay.reason"] == "RowUnmappable"
    assert "JSON object" in told["outboxrelay.message"]
    assert (told["outboxrelay.attempts"], told["outboxrelay.topic"], told["outboxrelay.headers"]) == (
        "2",
        line.topic,
        "[1]",
    )
    assert found["7"].value() == b"7"
    assert len(found["8"].value() or b"") == 30000
    assert len(await records_of(line.servers, line.topic, 48)) == 48


async def test_a_dead_letter_topic_that_is_missing_holds_the_keys_and_loses_nothing(line: RelayLine) -> None:
    await line.database.execute(FILL, 50)
    await line.database.execute("UPDATE outbox SET region = ''")
    await line.database.execute("UPDATE outbox SET headers = '[1]' WHERE id = 7")
    dead = f"{line.topic}.dead"
    line.start(**spec(line, action="DeadLetterTopic", deadLetterTopic=dead, maxAttempts=1))
    await line.emptied(rows=1)
    await asyncio.sleep(3)
    assert await line.pending() == 1
    await line.topics(dead)
    await line.emptied(seconds=180)


async def test_attempts_are_counted_over_processes(line: RelayLine) -> None:
    await line.database.execute("INSERT INTO outbox (aggregate_id, payload, region) VALUES ('k', NULL, '')")
    first = line.start(**spec(line))
    first.wait(lambda report: report["held"]["keys"] == 1, 20)
    await asyncio.sleep(1)
    await asyncio.to_thread(first.stop)
    second = line.start(**spec(line, action="Quarantine", maxAttempts=2))
    second.wait(lambda report: report["quarantine"]["rows"] == 1, 20)
    assert await line.database.fetchval("SELECT attempts FROM outboxrelay.quarantine") == 2


async def test_a_process_that_is_killed_makes_the_next_one_write_attempts_down_and_forget_them(line: RelayLine) -> None:
    await line.database.execute("INSERT INTO outbox (aggregate_id, payload, region) VALUES ('k', '1', '')")
    first = line.start(**spec(line))
    await line.emptied()
    first.process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(first.process.wait)
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.member") == 1
    await line.database.execute(FILL, 400)
    await line.database.execute("UPDATE outbox SET region = ''")
    second = line.start(**spec(line))
    await line.emptied()
    assert '"careful"' in second.log.read_text()
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.attempts") == 0
    await asyncio.to_thread(second.stop)
    assert await line.database.fetchval("SELECT count(*) FROM outboxrelay.member") == 0


async def test_a_row_that_ends_the_process_each_time_is_moved_aside(line: RelayLine) -> None:
    """Whoever sees that row in flight is killed: what a crash of the client's library would do."""
    await line.database.execute(FILL, 300)
    await line.database.execute("UPDATE outbox SET region = ''")
    await line.database.execute(
        "INSERT INTO outboxrelay.attempts (relay, relay_name, row_id, key, started) "
        "VALUES ($1, 'default/line', '77', 'k77', 3)",
        f"line-{line.topic}",
    )
    relay = line.start(**spec(line, action="Quarantine", maxAttempts=3))
    await line.emptied()
    relay.wait(lambda report: report["quarantine"]["rows"] == 1, 20)
    row = await line.database.fetchrow("SELECT row_id, reason, attempts FROM outboxrelay.quarantine")
    assert tuple(row) == ("77", "RowEndsProcess", 3)
    assert len(await records_of(line.servers, line.topic, 299)) == 299


async def test_one_row_of_a_key_in_flight_keeps_order_where_a_broker_refuses(line: RelayLine) -> None:
    await line.database.execute(FILL, 2000)
    await line.database.execute("UPDATE outbox SET region = '', aggregate_id = 'k' || id % 50")
    started = time.monotonic()
    line.start(**spec(line), ordering={"inFlightPerKey": "One"})
    await line.emptied()
    found = await records_of(line.servers, line.topic, 2000)
    assert in_order(found)
    assert len(found) == 2000
    print(f"one row of a key in flight: 2000 rows of 50 keys in {time.monotonic() - started:.1f} s")
