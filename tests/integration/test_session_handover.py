"""The session with the locks goes over to another one, at the real PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.source import Database
from outboxrelay.decisions.sharding import MEMBER_BASE
from outboxrelay.errors import SourceFault
from tests.support.relay_line import RelayLine, relay_line

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


@contextmanager
def changing(uri: str) -> Iterator[tuple[dict[str, str], Any]]:
    """Files in memory."""
    held = {"uri": uri}

    class Files:
        def read(self, reference: Any) -> str:
            return held[reference.key]

    yield held, Files()


DATABASE = Database.model_validate({"uriSecretRef": {"name": "db", "key": "uri"}})


async def test_what_a_session_with_locks_asks_was_prepared_before_it_had_any(line: RelayLine) -> None:
    """A process that is frozen between Parse and Bind would keep its locks: the server counts no silence there."""
    needed = {sql(name) for name in ("lock", "locks", "try_lock", "unlock", "unlock_awaited")}
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uuid.uuid4().hex, credentials, "owner")
        await session.open()
        before = await prepared(session)
        assert needed <= {statement for statement, _ in before}
        for _ in range(2):
            await session.try_lock([MEMBER_BASE, 1, 2])
            await session.observe()
            await session.unlock([1, 2])
        assert await prepared(session) == before
        await session.prepare(credentials.on_file())
        await session.hand_over()
        before = await prepared(session)
        assert needed <= {statement for statement, _ in before}
        await session.observe()
        await session.try_lock([3])
        await session.unlock([MEMBER_BASE, 3])
        assert await prepared(session) == before
        await session.close()


async def prepared(session: PostgresControl) -> set[tuple[str, str]]:
    """The statements that the session has prepared, and when, but for this question."""
    asked = "SELECT statement, prepare_time::text FROM pg_prepared_statements"
    return {(row["statement"], row["prepare_time"]) for row in await session.fetch(asked) if row["statement"] != asked}


async def test_no_lock_is_free_for_a_moment_while_the_session_changes(line: RelayLine) -> None:
    uid, slots = uuid.uuid4().hex, [MEMBER_BASE, *range(64)]
    thief = PostgresControl(DATABASE, uid, MappingCredentials({("db", "uri"): line.uri}), "thief")
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uid, credentials, "owner")
        await session.open()
        await thief.open()
        assert await session.try_lock(slots) == set(slots)
        await session.observe()
        heard, over = asyncio.Event(), asyncio.Event()
        stolen: set[int] = set()
        await session.listen("bell", heard.set)

        async def steal() -> int:
            tries = 0
            while not over.is_set():
                stolen.update(await thief.try_lock(slots))
                tries += 1
            return tries

        stealing = asyncio.create_task(steal())
        for _ in range(5):
            await session.prepare(credentials.on_file())
            await session.hand_over()
            seen = await session.observe()
            assert (seen.members, set(seen.owners)) == ((0,), set(range(64)))
        assert session.sessions == 6
        over.set()
        tries = await stealing
        print(f"{tries} attempts to steal")
        assert tries > 10
        assert stolen == set()
        await line.database.execute("NOTIFY bell")
        await asyncio.wait_for(heard.wait(), 5)
        [limit] = await session.fetch("SELECT current_setting('idle_session_timeout') AS seconds")
        assert limit["seconds"] == "15s"
        alive = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'owner'"
        async with asyncio.timeout(5):
            while await line.database.fetchval(alive) != 1:
                await asyncio.sleep(0.05)
        await session.close()
        assert await thief.try_lock(slots) == set(slots)
        await thief.close()


async def test_a_session_whose_heir_has_died_goes_on(line: RelayLine) -> None:
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uuid.uuid4().hex, credentials, "owner")
        await session.open()
        await session.try_lock([MEMBER_BASE, 1, 2])
        await session.observe()
        await session.prepare(credentials.on_file())
        own = await session.fetch("SELECT pg_backend_pid() AS pid")
        await line.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'owner' AND pid <> $1",
            own[0]["pid"],
        )
        with pytest.raises(SourceFault):
            await session.hand_over()
        assert not session.is_prepared
        assert set((await session.observe()).owners) == {1, 2}
        await session.close()


async def test_a_handover_that_breaks_half_way_loses_the_session_and_frees_every_lock(line: RelayLine) -> None:
    uid = uuid.uuid4().hex
    with changing(line.uri) as (_, files):
        credentials = RenewableCredentials(files, DATABASE.secret_references)
        session = PostgresControl(DATABASE, uid, credentials, "owner")
        other = PostgresControl(DATABASE, uid, MappingCredentials({("db", "uri"): line.uri}), "other")
        await session.open()
        await session.try_lock([MEMBER_BASE, *range(16)])
        await session.observe()
        await session.prepare(credentials.on_file())
        # A lock that the session believes to have and another one holds: the heir would wait for it.
        await session.fetch("SELECT pg_advisory_unlock($1::bigint + 15)", session._base)
        await other.open()
        assert await other.try_lock([15]) == {15}
        with pytest.raises(SourceFault):
            await session.hand_over()
        with pytest.raises(SourceFault):
            await session.observe()
        async with asyncio.timeout(10):
            while (await other.observe()).members:
                await asyncio.sleep(0.1)
        assert await other.try_lock(range(16)) == set(range(15))
        for item in (session, other):
            await item.close()
