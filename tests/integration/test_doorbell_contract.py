"""A doorbell, asked of the fake and of PostgreSQL alike: whom it wakes, and whom it lets be."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_doorbell import PostgresDoorbell
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.names import Reason
from outboxrelay.decisions.waking import Asked
from outboxrelay.errors import SourceFault
from tests.support.doorbell_house import (
    INSERT,
    SILENCE_SECONDS,
    TABLE,
    FakeTransaction,
    House,
    RealHouse,
    RealTransaction,
    Transaction,
    control_arguments,
    control_of,
    create_outbox,
    real_house,
)
from tests.support.fake_doorbell import FakeDoorbell

pytestmark = pytest.mark.needs_services


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
    doorbell = FakeDoorbell()

    async def begin() -> Transaction:
        return FakeTransaction(doorbell.insert())

    yield House(doorbell, begin)


async def test_a_commit_rings_while_somebody_sleeps_and_only_then(house: House) -> None:
    assert await house.doorbell.open() is None
    await house.insert()
    assert not await house.rings(SILENCE_SECONDS)
    assert await house.doorbell.sleep() is Asked.NOW
    for number in range(3):
        await house.insert()
        assert await house.rings()
        assert house.doorbell.rings == number + 1
    await house.doorbell.wake()
    await house.insert()
    assert not await house.rings(SILENCE_SECONDS)


async def test_who_asks_again_is_told_that_writers_were_asked_all_along(house: House) -> None:
    await house.doorbell.open()
    assert [await house.doorbell.sleep() for _ in range(3)] == [Asked.NOW, Asked.BEFORE, Asked.BEFORE]
    await house.doorbell.wake()
    await house.doorbell.wake()
    assert await house.doorbell.sleep() is Asked.NOW


async def test_a_transaction_that_was_not_asked_is_told_of_until_it_is_over(house: House) -> None:
    await house.doorbell.open()
    for commit in (True, False):
        before = await house.begin()
        assert [await house.doorbell.sleep() for _ in range(2)] == [Asked.SOME, Asked.SOME]
        await before.end(commit=commit)
        assert not await house.rings(SILENCE_SECONDS)
        assert [await house.doorbell.sleep() for _ in range(2)] == [Asked.NOW, Asked.BEFORE]
        await house.doorbell.wake()


async def test_a_transaction_rings_when_it_commits_and_not_when_it_is_rolled_back(house: House) -> None:
    await house.doorbell.open()
    await house.doorbell.sleep()
    one, other = await house.begin(), await house.begin()
    assert not await house.rings(SILENCE_SECONDS)
    await one.end(commit=False)
    assert not await house.rings(SILENCE_SECONDS)
    await other.end(commit=True)
    assert await house.rings()


async def test_it_may_be_opened_again_and_again(house: House) -> None:
    for _ in range(3):
        assert await house.doorbell.open() is None
    await house.doorbell.sleep()
    assert await house.doorbell.open() is None
    assert await house.doorbell.sleep() is Asked.BEFORE
    await house.insert()
    assert await house.rings()
    assert house.doorbell.rings == 1


async def locks_of(house: RealHouse) -> int:
    """Advisory locks of the doorbell that anybody has in this database."""
    found: int = await house.database.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return found


@pytest.mark.parametrize("real", ["partitioned"], indirect=True)
async def test_a_partitioned_table_rings_through_its_parent(real: RealHouse) -> None:
    assert await real.doorbell.open() is None
    await real.doorbell.sleep()
    await real.insert()
    assert await real.rings()
    await real.database.execute("INSERT INTO outbox_1 (id, payload) OVERRIDING SYSTEM VALUE VALUES (9, '{}')")
    assert not await real.rings(SILENCE_SECONDS)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
async def test_a_transaction_whose_snapshot_is_older_than_the_sleep_rings_all_the_same(
    real: RealHouse, level: str
) -> None:
    await real.doorbell.open()
    await real.database.execute(f"BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM outbox")
    assert await real.doorbell.sleep() is Asked.NOW
    await real.database.execute(f"{INSERT}; COMMIT")
    assert await real.rings()


async def test_what_a_savepoint_takes_back_is_waited_for_by_nobody(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.database.execute(f"BEGIN; SAVEPOINT s; {INSERT}; ROLLBACK TO s")
    assert await real.doorbell.sleep() is Asked.NOW
    await real.doorbell.wake()
    await real.database.execute(f"SAVEPOINT s; {INSERT}; RELEASE s")
    assert await real.doorbell.sleep() is Asked.SOME
    await real.database.execute("COMMIT")
    assert await real.doorbell.sleep() is Asked.NOW


async def bucket_of(transaction: Transaction) -> int:
    assert isinstance(transaction, RealTransaction)
    pid: int = await transaction.session.fetchval("SELECT pg_backend_pid()")
    return pid % 4


async def test_a_transaction_that_stays_open_keeps_only_writers_of_its_bucket_from_ringing(real: RealHouse) -> None:
    await real.doorbell.open()
    stays = await real.begin()
    assert await real.doorbell.sleep() is Asked.SOME
    bucket = await bucket_of(stays)
    others = [await real.begin() for _ in range(8)]
    for other in others:
        same = await bucket_of(other) == bucket
        await other.end(commit=True)
        assert await real.rings(SILENCE_SECONDS if same else 5.0) is not same
    await stays.end(commit=True)
    assert await real.doorbell.sleep() is Asked.NOW


async def test_whatever_commits_while_the_relay_falls_asleep_is_seen_then_or_rings(real: RealHouse) -> None:
    """Writers commit all the time; each time that all are asked, what is there is read, and the next row must ring."""
    await real.doorbell.open()
    over = asyncio.Event()
    sessions = [await asyncpg.connect(real.uri) for _ in range(6)]
    source = random.Random(1)

    async def write(session: Any) -> None:
        while not over.is_set():
            await session.execute(f"BEGIN; {INSERT}")
            await asyncio.sleep(source.uniform(0, 0.004))
            await session.execute("COMMIT")
            await asyncio.sleep(source.uniform(0, 0.03))

    writing = [asyncio.create_task(write(session)) for session in sessions]
    seen = overlooked = asleep = some = 0
    async with asyncio.timeout(60):
        while asleep < 100:
            asked = await real.doorbell.sleep()
            some += asked is Asked.SOME
            if asked is Asked.SOME:
                continue
            real.doorbell.rung.clear()
            seen = await real.database.fetchval("SELECT count(*) FROM outbox")
            asleep += 1
            # Until it rings nothing more may be committed that can be seen.
            while not real.doorbell.rung.is_set():
                more = await real.database.fetchval("SELECT count(*) FROM outbox")
                if more > seen:
                    overlooked += not await real.rings(1.0)
                    break
            await real.doorbell.wake()
    over.set()
    await asyncio.gather(*writing)
    for session in sessions:
        await session.close()
    print(f"asleep {asleep} times, {some} times in the middle of a transaction, {seen} rows")
    assert overlooked == 0
    assert some > 0


async def test_one_process_relies_on_the_locks_of_another_and_takes_them_when_that_one_wakes(real: RealHouse) -> None:
    other_control = control_of(real.uri)
    await other_control.open()
    other = PostgresDoorbell(other_control, TABLE)
    await real.doorbell.open()
    await other.open()
    assert await real.doorbell.sleep() is Asked.NOW
    assert [await other.sleep() for _ in range(2)] == [Asked.NOW, Asked.BEFORE]
    await real.insert()
    assert await real.rings()
    assert await House(other, real.begin).rings()
    await real.doorbell.wake()
    assert await House(other, real.begin).rings(), "it is told that nobody asks any more"
    assert not real.doorbell.rung.is_set(), "who tells it does not hear it"
    assert [await other.sleep() for _ in range(2)] == [Asked.NOW, Asked.BEFORE]
    await real.insert()
    assert await House(other, real.begin).rings()
    await other_control.close()
    assert await real.doorbell.sleep() is Asked.NOW


async def test_a_session_that_ends_asks_nobody(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.doorbell.sleep()
    await real.control.open()
    assert await real.doorbell.open() is None
    assert await locks_of(real) == 0
    await real.insert()
    assert not await real.rings(SILENCE_SECONDS)
    assert await real.doorbell.sleep() is Asked.NOW
    await real.insert()
    assert await real.rings()


async def test_it_says_what_is_missing(real: RealHouse) -> None:
    await real.database.execute("ALTER TABLE outbox DISABLE TRIGGER outboxrelay_doorbell")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")
    await real.database.execute("DROP TRIGGER outboxrelay_doorbell ON outbox")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")
    await real.database.execute("DROP SCHEMA outboxrelay CASCADE")
    assert "no doorbell hangs at public.outbox" in (await real.doorbell.open() or "")


async def test_a_trigger_of_an_older_release_is_told_from_this_one(real: RealHouse) -> None:
    await real.database.execute(
        "CREATE OR REPLACE FUNCTION outboxrelay.ring() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    assert "run `outboxrelay sql --part schema`" in (await real.doorbell.open() or "")
    await real.database.execute(sql("schema/schema"))
    assert await real.doorbell.open() is None


async def test_a_table_that_was_made_anew_is_listened_to_under_its_new_number(real: RealHouse) -> None:
    await real.doorbell.open()
    await real.doorbell.sleep()
    await real.database.execute("DROP TABLE outbox")
    await create_outbox(real.database)
    assert await real.doorbell.open() is None
    assert await locks_of(real) == 0
    assert await real.doorbell.sleep() is Asked.NOW
    await real.insert()
    assert await real.rings()


class Forgetful(PostgresControl):
    """Its statements are done, and it may fail to say so."""

    fails = False

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        rows = await super().fetch(statement, *arguments)
        if self.fails:
            raise SourceFault(Reason.TIMEOUT, "no answer")
        return rows


async def test_locks_of_which_nobody_knows_whether_they_were_taken_are_given_back_all_the_same(real: RealHouse) -> None:
    control = Forgetful(*control_arguments(real.uri))
    await control.open()
    bell = PostgresDoorbell(control, TABLE)
    await bell.open()
    for call, after in ((bell.sleep, 4), (bell.wake, 0)):
        control.fails = True
        with pytest.raises(SourceFault):
            await call()
        assert await locks_of(real) == after
        control.fails = False
        assert await bell.sleep() is Asked.NOW
        await bell.wake()
        assert await locks_of(real) == 0, "each was taken once"
        await bell.sleep()
    await control.close()
