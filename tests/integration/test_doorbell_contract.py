"""A doorbell, asked of the fake and of PostgreSQL alike: whom it wakes, and whom it lets be."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_doorbell import PostgresDoorbell
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.source import Database, Table
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ports import Doorbell
from tests.support.fake_doorbell import FakeDoorbell

pytestmark = pytest.mark.needs_services

LASTS = 1.0
SILENCE_SECONDS = 0.3
TABLE = Table.model_validate({"name": "outbox"})
TRIGGER = (
    "CREATE TRIGGER outboxrelay_doorbell AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION outboxrelay.ring()"
)


@dataclass
class House:
    """A doorbell with its table, and a writer that inserts a row and commits."""

    doorbell: Doorbell
    insert: Callable[[], Awaitable[Any]]

    async def rings(self, seconds: float = 5.0) -> bool:
        """Whether the bell rings within ``seconds``; it is silent again then."""
        try:
            async with asyncio.timeout(seconds):
                await self.doorbell.rung.wait()
        except TimeoutError:
            return False
        self.doorbell.rung.clear()
        return True


@dataclass
class RealHouse(House):
    """And what only the real one has."""

    database: asyncpg.Connection
    control: PostgresControl
    uri: str


async def create_outbox(database: Any, *, partitioned: bool = False) -> None:
    await database.execute(sql("schema/schema"))
    columns = (
        "id bigint GENERATED ALWAYS AS IDENTITY, aggregate_id text, event_id uuid DEFAULT gen_random_uuid(), "
        "event_type text, payload text, created_at timestamptz DEFAULT now()"
    )
    await database.execute(f"CREATE TABLE outbox ({columns}) {'PARTITION BY RANGE (id)' if partitioned else ''}")
    if partitioned:
        await database.execute("CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES FROM (1) TO (1000000)")
    await database.execute(TRIGGER.format(table="outbox"))


@asynccontextmanager
async def real_house(*, partitioned: bool = False) -> AsyncIterator[RealHouse]:
    """In a database of its own."""
    base, name = os.environ["OUTBOXRELAY_POSTGRES_URI"], f"bell_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(base)
    await admin.execute(f"CREATE DATABASE {name}")
    uri = base.replace("/postgres?", f"/{name}?")
    database = await asyncpg.connect(uri)
    await create_outbox(database, partitioned=partitioned)
    control = control_of(uri)
    await control.open()

    async def insert() -> None:
        await database.execute("INSERT INTO outbox (aggregate_id, payload) VALUES ('k', '{}')")

    try:
        yield RealHouse(PostgresDoorbell(control, TABLE, "relay-0", LASTS), insert, database, control, uri)
    finally:
        await control.close()
        await database.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


def control_of(uri: str) -> PostgresControl:
    source = Database.model_validate({"uriSecretRef": {"name": "db", "key": "uri"}})
    return PostgresControl(source, uuid.uuid4().hex, MappingCredentials({("db", "uri"): uri}), "outboxrelay bell")


@pytest.fixture
async def real(request: pytest.FixtureRequest) -> AsyncIterator[RealHouse]:
    async with real_house(partitioned=getattr(request, "param", "") == "partitioned") as found:
        yield found


@pytest.fixture(params=["fake", "PostgreSQL"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    if request.param == "PostgreSQL":
        async with real_house() as found:
            yield found
        return
    doorbell = FakeDoorbell(lasts=LASTS)

    async def insert() -> None:
        doorbell.ring()

    yield House(doorbell, insert)


async def test_a_commit_rings_while_somebody_sleeps_and_only_then(house: House) -> None:
    assert await house.doorbell.open() is None
    await house.insert()
    assert not await house.rings(SILENCE_SECONDS)
    assert await house.doorbell.sleep(5) is False
    for _ in range(3):
        await house.insert()
        assert await house.rings()
    await house.doorbell.wake()
    await house.insert()
    assert not await house.rings(SILENCE_SECONDS)


async def test_who_asks_again_in_time_is_told_that_writers_were_asked_all_along(house: House) -> None:
    await house.doorbell.open()
    assert [await house.doorbell.sleep(seconds) for seconds in (0.1, 0.1, 5.0, 0.1)] == [False, True, True, True]
    await house.doorbell.wake()
    assert await house.doorbell.sleep(0.1) is False


async def test_what_was_asked_runs_out_by_itself(house: House) -> None:
    await house.doorbell.open()
    await house.doorbell.sleep(0.1)
    await asyncio.sleep(LASTS + 1.0)
    await house.insert()
    assert not await house.rings(SILENCE_SECONDS)
    assert await house.doorbell.sleep(0.1) is False


async def test_it_may_be_opened_again_and_again(house: House) -> None:
    for _ in range(3):
        assert await house.doorbell.open() is None
    await house.doorbell.sleep(5)
    assert await house.doorbell.open() is None
    assert await house.doorbell.sleep(5) is True
    await house.insert()
    assert await house.rings()


async def flag_of(house: RealHouse) -> Any:
    return await house.database.fetchrow(
        "SELECT *, xmin::text, until - clock_timestamp() AS left FROM outboxrelay.doorbell"
    )


async def test_the_flag_is_written_once_for_several_sleeps_and_outlives_what_the_relay_believes(
    real: RealHouse,
) -> None:
    await real.doorbell.open()
    await real.doorbell.sleep(0.2)
    first = await flag_of(real)
    assert first["left"].total_seconds() > LASTS + 0.2
    await real.doorbell.sleep(0.2)
    assert (await flag_of(real))["xmin"] == first["xmin"]
    await asyncio.sleep(LASTS)
    assert await real.doorbell.sleep(0.5) is True
    assert (await flag_of(real))["xmin"] != first["xmin"]


@pytest.mark.parametrize("real", ["partitioned"], indirect=True)
async def test_a_partitioned_table_rings_through_its_parent(real: RealHouse) -> None:
    assert await real.doorbell.open() is None
    await real.doorbell.sleep(5)
    await real.insert()
    assert await real.rings()
    await real.database.execute("INSERT INTO outbox_1 (id, payload) OVERRIDING SYSTEM VALUE VALUES (9, '{}')")
    assert not await real.rings(SILENCE_SECONDS)


async def test_a_transaction_rings_when_it_commits_and_not_when_it_is_rolled_back(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.doorbell.sleep(5)
    await real.database.execute("BEGIN")
    await real.insert()
    assert not await real.rings(SILENCE_SECONDS)
    await real.database.execute("COMMIT")
    assert await real.rings()
    await real.database.execute("BEGIN")
    await real.insert()
    await real.database.execute("ROLLBACK")
    assert not await real.rings(SILENCE_SECONDS)


async def test_each_listener_has_its_own_flag_and_everybody_who_listens_hears(real: RealHouse) -> None:
    other_control = control_of(real.uri)
    await other_control.open()
    other = PostgresDoorbell(other_control, TABLE, "relay-1", LASTS)
    for bell in (real.doorbell, other):
        await bell.open()
        await bell.sleep(5)
    await real.doorbell.wake()
    await real.insert()
    assert await real.rings()
    assert await House(other, real.insert).rings()
    await other.wake()
    await real.insert()
    assert not await real.rings(SILENCE_SECONDS)
    await other_control.close()


async def test_it_says_what_is_missing(real: RealHouse) -> None:
    await real.database.execute("ALTER TABLE outbox DISABLE TRIGGER outboxrelay_doorbell")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")
    await real.database.execute("DROP TRIGGER outboxrelay_doorbell ON outbox")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")
    await real.database.execute("DROP SCHEMA outboxrelay CASCADE")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")


async def test_a_table_that_was_made_anew_is_listened_to_under_its_new_number(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.doorbell.sleep(5)
    await real.database.execute("DROP TABLE outbox")
    await create_outbox(real.database)
    assert await real.doorbell.open() is None
    assert await real.doorbell.sleep(5) is False
    await real.insert()
    assert await real.rings()


async def test_whoever_locks_the_flags_away_gets_a_fault_and_not_the_session(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.database.execute("BEGIN")
    await real.database.execute("LOCK TABLE outboxrelay.doorbell")
    with pytest.raises(SourceFault, match="lock timeout"):
        await real.doorbell.sleep(5)
    await real.database.execute("COMMIT")
    await real.control.observe()
    assert await real.doorbell.sleep(5) is False


async def test_what_was_left_behind_by_listeners_that_are_gone_is_cleared(real: RealHouse) -> None:
    await real.database.execute("INSERT INTO outboxrelay.doorbell VALUES (1, 'gone', now() - interval '2 hours')")
    await real.doorbell.open()
    assert await flag_of(real) is None
