"""Topics, partitions, headers and formats that rows choose, through the real servers."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.records import headers_of, records_of
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
COLUMNS = (
    "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid DEFAULT gen_random_uuid(), aggregate_id text, "
    "event_type text DEFAULT 'Placed', payload text, created_at timestamptz DEFAULT '2026-01-02T03:04:05.678Z'"
)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


async def fill(line: RelayLine, more: str, *rows: dict[str, Any]) -> None:
    await line.database.execute(f"CREATE TABLE outbox ({COLUMNS}{more})")
    for row in rows:
        names, values = ", ".join(row), ", ".join(f"${number + 1}" for number in range(len(row)))
        await line.database.execute(f"INSERT INTO outbox ({names}) VALUES ({values})", *row.values())


def routed(line: RelayLine, template: str, *allowed: str) -> dict[str, Any]:
    return {"topic": None, "topicTemplate": template, "allowedTopics": list(allowed)}


async def test_rows_choose_their_topic_by_a_template_and_only_among_those_allowed(line: RelayLine) -> None:
    here, there = f"{line.topic}.here", f"{line.topic}.there"
    await line.topics(here, there)
    rows: list[dict[str, Any]] = [
        {"aggregate_id": f"k{n}", "payload": f"{n}", "region": region}
        for n, region in enumerate(["here", "there", "secret", "here", None, "there"])
    ]
    await fill(line, ", region text", *rows)
    target = routed(line, f"{line.topic}.{{region}}", here, f"{line.topic}.th*")
    relay = line.start(target=target)
    await line.emptied(rows=2)
    assert sorted(r.value() or b"" for r in await records_of(line.servers, here, 2)) == [b"0", b"3"]
    assert sorted(r.value() or b"" for r in await records_of(line.servers, there, 2)) == [b"1", b"5"]
    report = relay.wait(lambda found: found["held"]["keys"] == 2, 20)
    messages = " ".join(row["message"] for row in report["held"]["rows"])
    assert "is not among spec.target.allowedTopics" in messages
    assert "NULL" in messages


async def test_a_missing_topic_holds_up_only_its_own_rows_and_they_arrive_in_order_once_it_is_made(
    line: RelayLine,
) -> None:
    names = [f"{line.topic}.t{n}" for n in range(4)]
    await line.topics(*names[1:])
    await fill(line, ", region text")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload, region) "
        "SELECT 'k' || n % 20, n::text, 't' || n % 4 FROM generate_series(1, 4000) AS n"
    )
    relay = line.start(target=routed(line, f"{line.topic}.{{region}}", f"{line.topic}.*"))
    await line.emptied(rows=1000)
    report = relay.wait(lambda found: found["blockedTopics"], 20)
    assert [(topic["topic"], topic["reason"]) for topic in report["blockedTopics"]] == [(names[0], "TopicNotFound")]
    assert report["delivery"]["circuit"] == "Closed"
    await line.topics(names[0])
    await line.emptied()
    arrived = await records_of(line.servers, names[0], 1000)
    by_key: dict[bytes, list[int]] = {}
    for record in arrived:
        by_key.setdefault(record.key() or b"", []).append(int(record.value() or b"0"))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert sum(len(numbers) for numbers in by_key.values()) == 1000
    relay.wait(lambda found: not found["blockedTopics"], 20)


async def test_headers_come_from_columns_and_the_partition_and_the_trace_from_the_row(line: RelayLine) -> None:
    more = ", tenant text, part int, trace text"
    await fill(
        line,
        more,
        {"aggregate_id": "a", "payload": "1", "tenant": "acme é", "part": 2, "trace": TRACE},
        {"aggregate_id": "a", "payload": "2", "tenant": None, "part": 0, "trace": "no trace"},
    )
    line.start(
        source={"table": {"columns": {"partition": "part", "traceparent": "trace"}}},
        target={"headers": [{"name": "x-tenant", "column": "tenant"}]},
    )
    await line.emptied()
    second, first = await records_of(line.servers, line.topic, 2)
    assert (first.partition(), first.value()) == (2, b"1")
    assert headers_of(first)["x-tenant"] == "acme é"
    assert headers_of(first)["traceparent"] == TRACE
    assert second.partition() == 0
    assert {"x-tenant", "traceparent"}.isdisjoint(headers_of(second))


async def test_cloud_events_in_binary_mode(line: RelayLine) -> None:
    await fill(
        line, "", {"aggregate_id": "a", "payload": "{}"}, {"aggregate_id": "b", "payload": "{}", "event_type": None}
    )
    relay = line.start(target={"cloudEvents": {"source": "/shop/orders"}})
    await line.emptied(rows=1)
    [record] = await records_of(line.servers, line.topic, 1)
    found = headers_of(record)
    assert {name: found[name] for name in found if name not in ("id", "type", "sequence", "ce_id")} == {
        "ce_specversion": "1.0",
        "ce_source": "/shop/orders",
        "ce_type": "Placed",
        "ce_subject": "a",
        "ce_time": "2026-01-02T03:04:05.678Z",
        "content-type": "application/json",
    }
    assert found["ce_id"] == found["id"]
    report = relay.wait(lambda report: report["held"]["keys"] == 1, 20)
    assert "a CloudEvent needs a type" in report["held"]["rows"][0]["message"]


async def test_a_null_payload_is_a_tombstone_where_that_is_asked_for(line: RelayLine) -> None:
    await fill(line, "", {"aggregate_id": "a", "payload": None})
    line.start(target={"nullPayload": "Tombstone"})
    await line.emptied()
    [record] = await records_of(line.servers, line.topic, 1)
    assert (record.key(), record.value()) == (b"a", None)


async def test_a_table_as_debezium_wants_it_is_carried_as_it_is(line: RelayLine) -> None:
    await line.database.execute(
        "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL, "
        "aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb)"
    )
    kind = uuid.uuid4().hex[:8]
    topic = f"outbox.event.{kind}"
    await line.topics(topic)
    ids = [uuid.uuid4() for _ in range(300)]
    for number, event in enumerate(ids):
        await line.database.execute(
            "INSERT INTO outbox VALUES ($1, $2, $3, 'Placed', $4::text::jsonb)",
            event, kind, f"k{number % 5}", f'{{"n": {number}}}',
        )  # fmt: skip
    relay = line.start(source={"table": {"preset": "Debezium"}}, target={"topic": None})
    await line.emptied()
    found = await records_of(line.servers, topic, 300)
    assert {headers_of(record)["id"] for record in found} == {str(event) for event in ids}
    by_key: dict[bytes, list[str]] = {}
    for record in found:
        by_key.setdefault(record.key() or b"", []).append(headers_of(record)["id"])
    order = {str(event): number for number, event in enumerate(ids)}
    assert all([order[i] for i in events] == sorted(order[i] for i in events) for events in by_key.values())
    assert any("best effort" in line for line in (relay.state() or {})["limitations"])


async def test_a_debezium_table_with_an_identity_column_keeps_order_for_sure(line: RelayLine) -> None:
    kind = uuid.uuid4().hex[:8]
    await line.topics(f"outbox.event.{kind}")
    await line.database.execute(
        "CREATE TABLE outbox (id uuid NOT NULL PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL, "
        "type text NOT NULL, payload jsonb); ALTER TABLE outbox ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY"
    )
    event = uuid.uuid4()
    await line.database.execute("INSERT INTO outbox VALUES ($1, $2, 'k', 'Placed', '{}')", event, kind)
    table = {"preset": "Debezium", "columns": {"id": "seq"}}
    relay = line.start(source={"table": table}, target={"topic": None})
    await line.emptied()
    [record] = await records_of(line.servers, f"outbox.event.{kind}", 1)
    assert headers_of(record)["id"] == str(event)
    assert not any("best effort" in line for line in (relay.state() or {})["limitations"])


async def test_rows_with_a_uuid_follow_their_time(line: RelayLine) -> None:
    await line.database.execute(
        "CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_id text, aggregate_id text, "
        "event_type text, payload text, created_at timestamptz)"
    )
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload, created_at) "
        "SELECT 'k', n::text, now() - n * interval '1 s' FROM generate_series(1, 500) AS n"
    )
    line.start()
    await line.emptied()
    found = await records_of(line.servers, line.topic, 500)
    assert [int(record.value() or b"0") for record in found] == list(range(500, 0, -1))


async def test_settled_rows_wait_for_every_transaction_that_began_before_them_and_its_owner_is_named(
    line: RelayLine,
) -> None:
    await fill(line, "")
    relay = line.start(source={"table": {"name": "outbox"}, "read": {"visibility": "Settled"}})
    relay.wait(lambda report: report["ready"], 20)
    other = await line.connect()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("INSERT INTO outbox (aggregate_id, payload) VALUES ('k', 'early')")
    await line.database.execute("INSERT INTO outbox (aggregate_id, payload) VALUES ('k', 'late')")
    await asyncio.sleep(3)
    assert await line.pending() == 1, "the later row is committed, and waits"
    pid = other.get_server_pid()
    report = relay.wait(lambda report: report["holder"], 60)
    assert f"pid {pid}" in report["holder"]["description"]
    await transaction.commit()
    await other.close()
    await line.emptied()
    found = await records_of(line.servers, line.topic, 2)
    assert [record.value() for record in found] == [b"early", b"late"]
    relay.wait(lambda report: not report["holder"], 30)


async def test_without_order_several_relays_share_one_table_and_no_row_is_lost(line: RelayLine) -> None:
    await fill(line, "")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload) SELECT 'k' || n % 10, n::text FROM generate_series(1, 20000) AS n"
    )
    relays = [line.start(ordering={"mode": "None"}) for _ in range(3)]
    await line.emptied()
    # One may have begun only when the others had sent everything.
    shares = [relay.wait(lambda report: report["ready"], 20)["delivery"]["rowsTotal"] for relay in relays]
    assert sum(shares) == 20000, "rows that are locked are sent once"
    found = await records_of(line.servers, line.topic, 20000)
    assert len({record.value() for record in found}) == 20000


async def test_strict_order_is_one_order_for_all_keys_in_one_partition(line: RelayLine) -> None:
    await fill(line, "")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload) SELECT 'k' || n % 10, n::text FROM generate_series(1, 3000) AS n"
    )
    line.start(ordering={"mode": "Strict", "shards": 1})
    await line.emptied()
    found = await records_of(line.servers, line.topic, 3000)
    assert {record.partition() for record in found} == {0}
    assert [int(record.value() or b"0") for record in found] == list(range(1, 3001))


async def test_large_rows_are_read_in_small_pieces(line: RelayLine) -> None:
    topic = f"{line.topic}.large"
    await line.topics(topic, settings={"max.message.bytes": "2000000"})
    await fill(line, "")
    await line.database.execute(
        "INSERT INTO outbox (aggregate_id, payload) SELECT 'k' || n, repeat(chr(65 + n % 26), 1000000) "
        "FROM generate_series(1, 200) AS n"
    )
    relay = line.start(target={"topic": topic})
    await line.emptied()
    assert (relay.state() or {})["delivery"]["rowsTotal"] == 200
    assert relay.memory_mb("VmHWM") < 400
