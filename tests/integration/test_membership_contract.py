"""Locks that say who owns what, asked of the fake and of PostgreSQL alike."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.api.names import Reason
from outboxrelay.api.source import Database
from outboxrelay.decisions.sharding import MEMBER_BASE
from outboxrelay.errors import SourceFault
from tests.support.fake_control import FakeControl, FakeLocks

pytestmark = pytest.mark.needs_services

Make = Callable[[], Any]


def control(uid: str) -> PostgresControl:
    database = Database.model_validate({"uriSecretRef": {"name": "db", "key": "uri"}})
    credentials = MappingCredentials({("db", "uri"): os.environ["OUTBOXRELAY_POSTGRES_URI"]})
    return PostgresControl(database, uid, credentials, f"contract {uid}")


def connection_of(session: PostgresControl) -> asyncpg.Connection:
    assert session._connection is not None
    return session._connection


@pytest.fixture(params=["fake", "PostgreSQL"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    made: list[Any] = []
    locks, uid = FakeLocks(), uuid.uuid4().hex

    def one() -> Any:
        made.append(FakeControl(locks) if request.param == "fake" else control(uid))
        return made[-1]

    yield one
    for session in made:
        await session.close()


async def test_a_slot_has_one_holder_and_everybody_sees_it(make: Make) -> None:
    one, other = make(), make()
    await one.open()
    await other.open()
    assert await one.try_lock([MEMBER_BASE, 1, 2]) == {MEMBER_BASE, 1, 2}
    assert await other.try_lock([MEMBER_BASE + 1, 2, 3]) == {MEMBER_BASE + 1, 3}
    for session in (one, other):
        seen = await session.observe()
        assert seen.members == (0, 1)
        assert set(seen.owners) == {1, 2, 3}
        assert seen.owners[1] == seen.owners[2] != seen.owners[3]
    await one.unlock([2])
    assert await other.try_lock([2]) == {2}


async def test_a_session_that_ends_gives_everything_back(make: Make) -> None:
    one, other = make(), make()
    await one.open()
    await other.open()
    await one.try_lock([MEMBER_BASE, 1])
    await one.close()
    seen = await other.observe()
    assert (seen.members, seen.owners) == ((), {})


async def test_relays_on_one_database_never_meet() -> None:
    one, other = control(uuid.uuid4().hex), control(uuid.uuid4().hex)
    await one.open()
    await other.open()
    assert await one.try_lock([MEMBER_BASE, 0]) == {MEMBER_BASE, 0}
    assert await other.try_lock([MEMBER_BASE, 0]) == {MEMBER_BASE, 0}
    assert len((await one.observe()).owners) == 1
    await one.close()
    await other.close()


async def test_locks_that_are_not_ours_any_more_are_noticed_as_a_pooler_would_cause_it() -> None:
    session = control(uuid.uuid4().hex)
    await session.open()
    await session.try_lock([1])
    await connection_of(session).execute("SELECT pg_advisory_unlock_all()")
    with pytest.raises(SourceFault, match="transaction pooler") as caught:
        await session.observe()
    assert caught.value.reason == Reason.UNSUPPORTED_SERVER
    await session.close()


async def test_the_server_bounds_a_session_that_says_nothing() -> None:
    session = control(uuid.uuid4().hex)
    await session.open()
    names = ("tcp_user_timeout", "tcp_keepalives_idle", "idle_session_timeout")
    found = [await connection_of(session).fetchval(f"SHOW {name}") for name in names]
    assert found == ["15000", "5", "15s"]
    await session.close()


async def test_an_ended_session_raises_a_fault() -> None:
    session = control(uuid.uuid4().hex)
    await session.open()
    pid = await connection_of(session).fetchval("SELECT pg_backend_pid()")
    admin = await asyncpg.connect(os.environ["OUTBOXRELAY_POSTGRES_URI"])
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    await admin.close()
    with pytest.raises(SourceFault):
        await session.observe()
    await session.close()
