"""SQL and Python of the documentation, run on the real servers: the blocks of a page in their order."""

import ast
import asyncio
import inspect
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer

from outboxrelay import inbox
from outboxrelay.adapters.postgres_schema import script
from outboxrelay.api.manifest import parse_manifest
from tests.support.fences import PAGES, blocks_of
from tests.support.producer_sessions import sqlalchemy_uri
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services

COLUMNS = {"headers": "headers", "traceparent": "traceparent"}
DEBEZIUM = {"preset": "Debezium"}
TABLES: dict[str, dict[str, Any] | None] = {
    "docs/mapping.md": DEBEZIUM,
    "docs/how-to/disaster.md": {"afterDelivery": "Mark"},
    "docs/how-to/migrate-from-debezium.md": DEBEZIUM,
    "docs/how-to/migrate-from-a-poller.md": None,
    "docs/how-to/partitioned-tables.md": None,
}
"""The outbox table that a page begins with, where it is not the usual one; None: it makes its own."""
SERVICE = """
CREATE TABLE orders (id bigint PRIMARY KEY, state text, version int NOT NULL DEFAULT 0);
INSERT INTO orders VALUES (7, 'new');
CREATE TABLE shipments (order_id bigint);
"""
"""What the services of the examples have."""
ROLES = ("outbox_relay", "orders_relay", "shipping")
MADE_BY_PAGES = {"outbox_relay"}
ROLE = "'ROLE'"
"""A word in capitals, which readers replace."""


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path, partitions=1) as found:
        await found.database.execute(SERVICE)
        yield found


@pytest.fixture
async def roles(line: RelayLine) -> AsyncIterator[dict[str, str]]:
    """Roles that pages name → those of this run: they belong to the whole server, where others may have them."""
    found = {role: f"{role}_{uuid.uuid4().hex[:8]}" for role in ROLES}
    for role in set(ROLES) - MADE_BY_PAGES:
        await line.database.execute(f"CREATE ROLE {found[role]}")
    yield found
    for role in found.values():
        if await line.database.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await line.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def install(line: RelayLine, table: dict[str, Any] | None) -> None:
    """What `outboxrelay sql` prints for the table; without one, only what belongs to none."""
    source = {"table": table if table is not None else {}}
    config = line.manifest(source=source)
    if table == DEBEZIUM:
        del config["spec"]["target"]["topic"]
    spec = parse_manifest(config).spec
    for part in ("schema", "archive", "inbox", *(("table", "publish") if table is not None else ())):
        await line.database.execute(script(part, spec, None).sql)


def pages(language: str) -> list[str]:
    """Those with blocks in it that can be run; the tutorial has a test of its own."""
    found = [page for page in PAGES if any(item.language == language for item in blocks_of(page) if not item.reason)]
    return [str(page) for page in found if page != Path("docs/tutorial.md")]


def texts(page: str, language: str) -> list[str]:
    """The blocks of a page that can be run."""
    return [item.text for item in blocks_of(Path(page)) if item.language == language and not item.reason]


@pytest.mark.parametrize("page", pages("sql"))
async def test_the_sql_of_a_page_runs_from_its_first_block_to_its_last(
    line: RelayLine, roles: dict[str, str], page: str
) -> None:
    await install(line, TABLES.get(page, {"columns": COLUMNS}))
    text = "\n".join(texts(page, "sql")).replace(ROLE, "'orders_relay'")
    for role, own in roles.items():
        text = re.sub(rf"\b{role}\b", own, text)
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", line.uri]
    done = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{text}"


async def test_what_was_archived_before_kafka_was_lost_is_pending_again(line: RelayLine) -> None:
    await install(line, {})
    await line.database.execute("""
        INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{"n": 1}');
        SELECT outboxrelay.rotate_archive('uid', 'shop/orders', interval '1 day');
        WITH gone AS (DELETE FROM outbox RETURNING *) INSERT INTO outboxrelay.archive
        SELECT 'uid', now(), id::text, event_id::text, aggregate_id, to_json(gone) FROM gone""")
    [text] = [item for item in texts("docs/how-to/disaster.md", "sql") if "outboxrelay.archive" in item]
    await line.database.execute(text.partition("-- Archive")[2].partition("\n")[2])
    row = await line.database.fetchrow("SELECT id, event_id, payload FROM outbox")
    kept = await line.database.fetchrow("SELECT row_id, event_id FROM outboxrelay.archive")
    assert (str(row["id"]), str(row["event_id"]), row["payload"]) == (kept["row_id"], kept["event_id"], '{"n": 1}')


async def run(text: str, names: dict[str, Any]) -> None:
    """Execute a block, in which await may stand outside of functions."""
    code = compile(text, "documentation", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, names)
    if inspect.isawaitable(found):
        await found


async def test_the_python_of_the_producers_page_writes_its_event(line: RelayLine) -> None:
    await install(line, {"columns": COLUMNS})
    async with asyncpg.create_pool(line.uri, min_size=1, max_size=1) as pool:
        for text in texts("docs/producers.md", "python"):
            await run(text, {"pool": pool})
    row = await line.database.fetchrow("SELECT * FROM outbox")
    assert (row["event_type"], row["aggregate_id"], row["headers"]) == ("OrderPaid", "order-7", '{"tenant": "acme"}')
    assert await line.database.fetchval("SELECT state FROM orders") == "paid"


async def test_the_python_of_the_consumers_page_processes_an_event_and_numbers_another(line: RelayLine) -> None:
    await install(line, {"columns": COLUMNS})
    worker, numbering = texts("docs/consumers.md", "python")
    producer = Producer({"bootstrap.servers": line.servers, "log_level": 2})
    for _ in range(2):
        producer.produce(line.topic, '{"id": 7}', "order-7", headers={"id": "e-1", "type": "OrderPaid"})
    producer.flush(20)
    real = {
        "postgresql+psycopg://shipping@db/shipping": sqlalchemy_uri(line.uri, "psycopg"),
        "kafka:9092": line.servers,
        "orders.events": line.topic,
    }
    for name, value in real.items():
        assert name in worker
        worker = worker.replace(name, value)
    names: dict[str, Any] = {}
    assert "worker.run()" in worker
    exec(worker.partition("worker.run()")[0], names)
    running = asyncio.create_task(asyncio.to_thread(names["worker"].run))
    try:
        async with asyncio.timeout(60):
            while not await line.database.fetchval("SELECT count(*) FROM shipments"):
                await asyncio.sleep(0.1)
    finally:
        names["worker"].stop()
        await running
        names["engine"].dispose()
    assert await line.database.fetch("SELECT order_id FROM shipments") == [(7,)]
    from outboxrelay import outbox

    async with line.database.transaction():
        await run(numbering, {"conn": line.database, "outbox": outbox, "inbox": inbox})
    assert await line.database.fetchval("SELECT headers::jsonb ->> 'version' FROM outbox") == "1"
