"""What the pump rests on, asked of the fake table and of PostgreSQL alike."""

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_source import PostgresSettler, PostgresSource
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.decisions.rows import NARROW, ReadRequest, Row, tail_of
from outboxrelay.manifests.secrets import references
from tests.support.fake_source import FakeSource, row
from tests.support.relay_process import manifest as relay_manifest

pytestmark = pytest.mark.needs_services

SHARDS = 4
Insert = Callable[[list[Row]], Awaitable[None]]


class Table:
    """One implementation and a way to fill it."""

    def __init__(self, source: Any, settler: Any, insert: Insert, uri: str = "") -> None:
        self.source, self.settler, self.insert, self.uri = source, settler, insert, uri

    async def ids(self, **fields: Any) -> list[int]:
        """Ids of one read."""
        nothing: dict[str, Any] = {"floor": None, "shards": None, "in_flight": [], "held_keys": [], "held_rows": []}
        return [found[0] for found in await self.source.read(ReadRequest(**{"limit": 100, **nothing, **fields}))]


async def real(mark: bool) -> AsyncIterator[Table]:
    base, name = os.environ["OUTBOXRELAY_POSTGRES_URI"], f"contract_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(base)
    await admin.execute(f"CREATE DATABASE {name}")
    uri = base.replace("/postgres?", f"/{name}?")
    database = await asyncpg.connect(uri)
    await database.execute(
        "CREATE TABLE outbox (id bigint PRIMARY KEY, event_id text, aggregate_id text, event_type text, payload text, "
        "headers json, created_at timestamptz, delivered_at timestamptz)"
    )
    table = {"columns": {"headers": "headers"}, "afterDelivery": "Mark" if mark else "Delete"}
    found = relay_manifest(
        table="outbox", topic="t", servers="k:1", source={"table": table}, ordering={"shards": SHARDS}
    )
    manifest = parse_manifest(found)
    [secret] = references(manifest.spec)
    credentials = MappingCredentials({(secret.name, secret.key): uri})
    source = PostgresSource(manifest, credentials)
    settler = PostgresSettler(manifest, credentials, source)

    async def insert(rows: list[Row]) -> None:
        await database.executemany(
            "INSERT INTO outbox VALUES ($1, $2, $3, $4, $5, $6::text::json, to_timestamp($7::bigint / 1000.0))",
            [(*row[:5], None if len(row) == 7 else row[7], row[5]) for row in rows],
        )

    yield Table(source, settler, insert, uri)
    await source.close()
    await settler.close()
    await database.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def fake() -> AsyncIterator[Table]:
    source = FakeSource(SHARDS)

    async def insert(rows: list[Row]) -> None:
        source.insert(*rows)

    yield Table(source, source, insert)


@pytest.fixture(params=["fake", "PostgreSQL, Delete", "PostgreSQL, Mark"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    made = fake() if request.param == "fake" else real("Mark" in request.param)
    async for found in made:
        yield found


async def test_rows_come_whole_in_the_order_of_their_ids_up_to_the_limit(table: Table) -> None:
    rows = [row(3, "b", "three"), row(1, "a", "one", '{"h": "x"}'), row(2, None, "two")]
    await table.insert(rows)
    request = ReadRequest(limit=2, floor=None, shards=None, in_flight=[], held_keys=[], held_rows=[])
    found = await table.source.read(request)
    assert [(*item[:NARROW], *tail_of(item)) for item in found] == [
        (*item[:NARROW], *tail_of(item)) for item in (rows[1], rows[2])
    ]


@pytest.mark.parametrize(
    "sizes",
    [{2: 5000}, {1: 5000, 3: 9000, 120: 5000}, dict.fromkeys(range(1, 90), 5000), {2: 7_000_000, 4: 7_000_000}],
    ids=["one", "few", "many", "huge"],
)
async def test_large_rows_among_small_ones_come_whole_and_in_their_place(table: Table, sizes: dict[int, int]) -> None:
    rows = [row(number, "k", "x" * sizes.get(number, 10)) for number in range(1, 121)]
    await table.insert(rows)
    found: list[Row] = []
    for _ in range(3):
        request = ReadRequest(
            limit=120, floor=None, shards=None, in_flight=[item[0] for item in found], held_keys=[], held_rows=[]
        )
        found += await table.source.read(request)
    assert [(item[0], item[4], item[6]) for item in found] == [(item[0], item[4], item[6]) for item in rows]


async def test_what_is_in_flight_held_or_below_the_floor_is_left_out(table: Table) -> None:
    await table.insert([row(1, "a"), row(2, "b"), row(3, None), row(4, None), row(5, "a"), row(6, "c")])
    assert await table.ids() == [1, 2, 3, 4, 5, 6]
    assert await table.ids(floor=4) == [4, 5, 6]
    assert await table.ids(in_flight=[1, 4]) == [2, 3, 5, 6]
    assert await table.ids(held_keys=["a", "c"]) == [2, 3, 4]
    assert await table.ids(held_rows=[3]) == [1, 2, 4, 5, 6]
    assert await table.ids(floor=2, in_flight=[2], held_keys=["c"], held_rows=[4]) == [3, 5]


async def test_the_shards_part_the_rows_and_keep_each_key_together(table: Table) -> None:
    await table.insert([row(i, None if i % 5 == 0 else f"key {i % 7}") for i in range(1, 101)])
    parts = [await table.ids(shards=(shard,)) for shard in range(SHARDS)]
    assert sorted(i for part in parts for i in part) == list(range(1, 101))
    for key in range(7):
        wanted = {i for i in range(1, 101) if i % 7 == key and i % 5}
        assert sum(1 for part in parts if wanted & set(part)) == 1
    assert sum(1 for part in parts if part) > 1
    assert await table.ids(shards=(0, 1)) == sorted(parts[0] + parts[1])


async def test_settled_rows_are_pending_no_more_and_settling_again_changes_nothing(table: Table) -> None:
    await table.insert([row(i) for i in range(1, 6)])
    await table.settler.settle([2, 4, 99])
    await table.settler.settle([2, 4])
    assert await table.ids() == [1, 3, 5]
    assert [item[0] for item in await table.source.read_rows([1, 2, 5, 99])] == [1, 5]


async def test_a_closed_source_connects_again_when_it_is_asked(table: Table) -> None:
    await table.insert([row(1)])
    await table.source.open()
    await table.source.close()
    assert await table.ids() == [1]
    snapshot = await table.source.snapshot()
    assert snapshot.xmin <= snapshot.xmax


async def test_rows_are_settled_wherever_they_lie_and_no_other_is(table: Table) -> None:
    await table.insert([row(i, f"k{i}") for i in range(1, 41)])
    await table.settler.settle([3, 4, 5, 6, 8, 9])
    await table.settler.settle([20, 30, 40])
    assert await table.ids() == [i for i in range(1, 41) if i not in (3, 4, 5, 6, 8, 9, 20, 30, 40)]
    await table.settler.settle(list(range(1, 41)))
    assert await table.ids() == []


async def test_gaps_are_read_with_what_is_behind_the_floor_lowest_ids_first(table: Table) -> None:
    await table.insert([row(i, "held" if i == 5 else f"k{i}") for i in range(1, 31)])
    assert await table.ids(floor=20, gaps=[(3, 5), (9, 9)]) == [3, 4, 5, 9, *range(20, 31)]
    assert await table.ids(floor=20, gaps=[(3, 5), (9, 9)], limit=3) == [3, 4, 5]
    assert await table.ids(floor=31, gaps=[(1, 10)], in_flight=[1, 2, 7], held_keys=["held"]) == [3, 4, 6, 8, 9, 10]
    assert await table.ids(floor=29, gaps=[(-(2**63), 2), (40, 50)], shards=tuple(range(SHARDS))) == [1, 2, 29, 30]


async def test_large_rows_in_gaps_come_whole_and_in_their_place(table: Table) -> None:
    await table.insert(
        [row(i, payload="x" * (9_000_000 if i in (2, 3) else 6000 if i in (7, 8) else 5)) for i in range(1, 10)]
    )
    first = ReadRequest(limit=9, floor=7, gaps=[(2, 4)], shards=None, in_flight=[], held_keys=[], held_rows=[])
    found = [(item[0], len(item[4] or "")) for item in await table.source.read(first)]
    assert found == [(2, 9_000_000), (3, 9_000_000)][: len(found)]
    assert found
    second = ReadRequest(limit=9, floor=7, gaps=[(4, 4)], shards=None, in_flight=[], held_keys=[], held_rows=[])
    found = [(item[0], len(item[4] or "")) for item in await table.source.read(second)]
    assert found == [(4, 5), (7, 6000), (8, 6000), (9, 5)]


async def test_a_snapshot_names_who_writes_to_the_table_its_partitions_and_children_and_nobody_else() -> None:
    async for found in real(mark=False):
        database, other = [await asyncpg.connect(found.uri) for _ in range(2)]
        await database.execute("CREATE TABLE part () INHERITS (outbox); CREATE TABLE elsewhere (a int)")
        assert (await found.source.snapshot()).writers == frozenset()
        await other.execute("BEGIN; INSERT INTO elsewhere VALUES (1)")
        assert (await found.source.snapshot()).writers == frozenset()
        for name in ("outbox", "part"):
            await database.execute(f"BEGIN; INSERT INTO {name} (id) VALUES (1)")
            before = await found.source.snapshot()
            assert len(before.writers) == 1
            await other.execute("ROLLBACK; BEGIN; SELECT 1 FROM outbox")
            await database.execute("ROLLBACK")
            assert (await found.source.snapshot()).writers.isdisjoint(before.writers)
        await database.close()
        await other.close()
