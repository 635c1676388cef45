"""outbox_publish and the Python package that calls it, on the real PostgreSQL, by every driver that is promised."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from outboxrelay import outbox
from outboxrelay.adapters.postgres_schema import script
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.mapping import TRACEPARENT
from tests.support.producer_sessions import DRIVERS, django_connection, publish_by
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

FULL = {"headers": "headers", "traceparent": "traceparent"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NASTY = {"text": 'it\'s "quoted" \\ $1 %s :name é', "number": 1.5, "none": None}


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=1) as found:
        yield found


async def install(line: RelayLine, **spec: Any) -> OutboxRelaySpec:
    """Table and function of a manifest, twice, since that changes nothing."""
    target = spec.pop("target", {})
    config = line.manifest(source={"table": spec}, target=target)
    if "topicTemplate" in target or spec.get("preset"):
        del config["spec"]["target"]["topic"]
    found = parse_manifest(config).spec
    for _ in range(2):
        for part in ("table", "publish"):
            await line.database.execute(script(part, found, None).sql)
    return found


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_event_is_there_when_its_transaction_commits_and_never_else(line: RelayLine, driver: str) -> None:
    await install(line, columns=FULL)
    headers = {"tenant": "é:%", "tries": 3, "test": True, "none": None}
    event = ("Placed", "key %s :x", NASTY)
    with pytest.raises(RuntimeError, match="rolled back"):
        await publish_by(driver, line.uri, *event, fail=True)
    assert await line.pending() == 0
    found = await publish_by(driver, line.uri, *event, headers=headers, traceparent=PARENT)
    [row] = await line.database.fetch("SELECT * FROM outbox")
    assert str(row["event_id"]) == found
    assert (row["event_type"], row["aggregate_id"], row["traceparent"]) == ("Placed", "key %s :x", PARENT)
    assert json.loads(row["payload"]) == NASTY
    assert json.loads(row["headers"]) == headers


@pytest.mark.parametrize("driver", DRIVERS)
async def test_hostile_names_are_only_names_for_every_driver(line: RelayLine, driver: str) -> None:
    hostile = 'ev"il; %s %(x)s :name \\:b $1 {0}'
    await install(line, schema=hostile, name=hostile, columns={**FULL, "key": hostile})
    await publish_by(driver, line.uri, "T", "k", {}, function=(hostile, f"{hostile}_publish"))
    place = '"' + hostile.replace('"', '""') + '"'
    assert await line.database.fetchval(f"SELECT {place} FROM {place}.{place}") == "k"


async def test_a_session_outside_a_transaction_is_refused(line: RelayLine) -> None:
    await install(line)
    with pytest.raises(outbox.NotInTransaction, match="outside a transaction"):
        await outbox.publish(line.database, "T", "k", {})
    with psycopg.connect(line.uri, autocommit=True) as conn:
        with pytest.raises(outbox.NotInTransaction):
            outbox.publish_sync(conn, "T", "k", {})
        with conn.transaction():
            outbox.publish_sync(conn, "T", "k", {})
    async with await psycopg.AsyncConnection.connect(line.uri, autocommit=True) as conn_async:
        with pytest.raises(outbox.NotInTransaction):
            await outbox.publish(conn_async, "T", "k", {})

    def by_django() -> None:
        connection = django_connection(line.uri)
        with pytest.raises(outbox.NotInTransaction, match="atomic"):
            outbox.publish_sync(connection, "T", "k", {})
        connection.close()

    await asyncio.to_thread(by_django)
    assert await line.pending() == 1


async def test_the_current_span_is_the_events_parent(line: RelayLine) -> None:
    await install(line, columns=FULL)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("order") as span:
        await publish_by("asyncpg", line.uri, "T", "k", {})
        await publish_by("asyncpg", line.uri, "T", "k", {}, traceparent=None)
    await publish_by("asyncpg", line.uri, "T", "k", {})
    found = [row[0] for row in await line.database.fetch("SELECT traceparent FROM outbox ORDER BY id")]
    context = span.get_span_context()
    assert TRACEPARENT.fullmatch(found[0])
    assert found[0].split("-")[1:3] == [trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)]
    assert found[1:] == [None, None]


LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "the default": ({}, {}, {}),
    "Debezium": ({"preset": "Debezium"}, {"columns": {"aggregatetype": "order"}}, {"aggregatetype": "order"}),
    "Debezium with an order": ({"preset": "Debezium", "columns": {"id": "seq"}},
                               {"columns": {"aggregatetype": "order"}}, {}),
    "the row's id is the event's": ({"columns": {"eventId": ""}}, {}, {}),
    "a column for the topic, one for a header": (
        {"columns": {"partition": "part"}, "target": {
            "topicTemplate": "{region}.{event_type}", "allowedTopics": ["*"],
            "headers": [{"name": "t", "column": "tenant"}]}},
        {"columns": {"region": "eu", "tenant": "acme", "part": "2"}},
        {"region": "eu", "tenant": "acme", "part": 2}),
    "marked, without a type": ({"afterDelivery": "Mark", "columns": {"type": ""}}, {"event_type": None}, {}),
    "headers but no column for traces": ({"columns": {"headers": "meta"}},
                                         {"headers": {"a": "b"}, "traceparent": PARENT},
                                         {"meta": f'{{"a": "b", "traceparent": "{PARENT}"}}'}),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
async def test_every_layout_has_its_function(line: RelayLine, case: str) -> None:
    layout, arguments, wanted = LAYOUTS[case]
    spec = await install(line, **layout)
    given = {"event_type": "T", **arguments}
    event = await publish_by("asyncpg", line.uri, given.pop("event_type"), "k", {"a": 1}, **given)
    columns = spec.source.table.layout
    [row] = await line.database.fetch("SELECT * FROM outbox")
    assert str(row[columns.event_id or columns.id]) == event
    assert row[columns.key] == "k"
    assert {name: row[name] for name in wanted} == wanted


WRONG: dict[str, tuple[dict[str, Any], tuple[Any, ...], dict[str, Any], str]] = {
    "no payload": ({}, ("T", "k", None), {}, "is NULL"),
    "headers without a column": ({}, ("T", "k", {}), {"headers": {"a": "b"}}, "no column for headers"),
    "a key without a column": ({"columns": {"key": ""}}, ("T", "k", {}), {}, "no column for a key"),
    "a type without a column": ({"columns": {"type": ""}}, ("T", "k", {}), {}, "no column for a type"),
    "a header that is an object": ({"columns": FULL}, ("T", "k", {}), {"headers": {"a": {}}}, "each header must be"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_the_relay_could_not_send_fails_in_the_producers_transaction(line: RelayLine, case: str) -> None:
    layout, event, options, words = WRONG[case]
    await install(line, **layout)
    with pytest.raises(asyncpg.InvalidParameterValueError, match=words):
        await publish_by("asyncpg", line.uri, *event, **options)


async def test_headers_must_be_an_object(line: RelayLine) -> None:
    await install(line, columns=FULL)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="must be a JSON object"):
        await line.database.execute("SELECT outbox_publish('T', 'k', '{}', '[]')")


async def test_a_tombstone_is_written_where_the_relay_sends_tombstones(line: RelayLine) -> None:
    await install(line, target={"nullPayload": "Tombstone"})
    await publish_by("asyncpg", line.uri, "Deleted", "k", None)
    assert await line.database.fetchval("SELECT payload IS NULL FROM outbox")


async def test_a_manifest_with_other_arguments_replaces_the_function(line: RelayLine) -> None:
    await install(line)
    await line.database.execute("ALTER TABLE outbox ADD COLUMN region text")
    await install(line, target={"topicTemplate": "{region}", "allowedTopics": ["*"]})
    found = await line.database.fetch("SELECT proargnames FROM pg_proc WHERE proname = 'outbox_publish'")
    assert [row[0][0] for row in found] == ["region"]


async def test_a_column_of_bytes_is_refused_when_the_function_is_made(line: RelayLine) -> None:
    await line.database.execute("CREATE TABLE outbox (id bigint, event_id uuid, event_type text, payload bytea)")
    with pytest.raises(asyncpg.RaiseError, match="the payload column is bytea"):
        await install(line)
    await line.database.execute("ROLLBACK")


async def test_a_writer_needs_insert_on_the_columns_and_nothing_else(line: RelayLine) -> None:
    await install(line, columns=FULL)
    role = f"writer_{uuid.uuid4().hex[:8]}"
    columns = "event_id, event_type, aggregate_id, payload, headers, traceparent"
    await line.database.execute(f"CREATE ROLE {role}; GRANT INSERT ({columns}) ON outbox TO {role}")
    try:
        async with line.database.transaction():
            await line.database.execute(f"SET LOCAL ROLE {role}")
            await outbox.publish(line.database, "T", "k", {}, headers={"a": "b"})
        assert await line.pending() == 1
    finally:
        await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_relay_sends_what_was_published_under_the_id_that_was_returned(line: RelayLine) -> None:
    from tests.support.oracle import Consumer

    await install(line, columns=FULL)
    relay = line.start(source={"table": {"columns": FULL}})
    await asyncio.to_thread(relay.wait_ready)
    with Consumer(line.servers, line.topic) as consumer:
        payload = {"key": "k", "number": 1}
        event = await publish_by("asyncpg", line.uri, "T", "k", payload, headers={"tenant": "acme"}, traceparent=PARENT)
        assert await asyncio.to_thread(consumer.wait_for, {event}, 30)


RECIPE = re.compile(r'"(SELECT outbox_publish\([^"]*\)(?: AS id)?)"|^(SELECT outbox_publish\(.*?\));$', re.MULTILINE)
"""A string constant in any language, or a statement."""


def recipes() -> dict[str, str]:
    """Ecosystem → the SQL of its recipe in docs/producers.md."""
    page = Path("docs/producers.md").read_text()
    section = page.partition("## Recipes\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
    found = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        match = RECIPE.search(text)
        assert match, f"the recipe for {name} has no SELECT outbox_publish(…)"
        found[name] = match[1] or match[2]
    return found


ECOSYSTEMS = ["Java, Spring", "Go", "Node.js", ".NET", "Ruby on Rails", "Any other"]


@pytest.mark.parametrize("name", ECOSYSTEMS)
async def test_the_sql_of_every_recipe_runs(line: RelayLine, name: str) -> None:
    await install(line, columns=FULL)
    found = recipes()
    assert list(found) == ECOSYSTEMS
    values = ["OrderPlaced", "order-7", '{"total": 12}', '{"tenant": "acme"}', PARENT]
    text, number = found[name], iter(range(1, 6))
    text = re.sub(r"(?<!:):(?!:)\w+|(?<![@\w])@\w+|\?|(?<!\$)\$\d", lambda _: f"${next(number)}::text", text)
    count = next(number, 6) - 1
    rows = await line.database.fetch(text, *values[:count])
    assert len(rows) == 1
    row = await line.database.fetchrow("SELECT * FROM outbox")
    assert (row["event_type"], row["aggregate_id"]) == ("OrderPlaced", "order-7")
    assert json.loads(row["payload"]) == {"total": 12}
    assert str(row["event_id"]) == rows[0][0]
