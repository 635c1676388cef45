"""An outbox table with a doorbell, in memory and on the real PostgreSQL: writers and somebody who sleeps."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_doorbell import PostgresDoorbell
from outboxrelay.adapters.postgres_statements import sql
from outboxrelay.api.source import Database, Table
from outboxrelay.relay.ports import Doorbell
from tests.support.fake_doorbell import Writing

SILENCE_SECONDS = 0.3
TABLE = Table.model_validate({"name": "outbox"})
TRIGGER = (
    "CREATE TRIGGER outboxrelay_doorbell AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION outboxrelay.ring()"
)
INSERT = "INSERT INTO outbox (aggregate_id, payload) VALUES ('k', '{}')"


class Transaction(Protocol):
    """One that has inserted a row."""

    async def end(self, *, commit: bool) -> None:
        """Commit it or roll it back."""


@dataclass
class House:
    """A doorbell with its table, and writers that insert a row."""

    doorbell: Doorbell
    begin: Callable[[], Awaitable[Transaction]]

    async def insert(self) -> None:
        """A row, committed at once."""
        await (await self.begin()).end(commit=True)

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
class RealTransaction:
    """In a session of its own for as long as it is open."""

    session: Any
    house: "RealHouse"

    async def end(self, *, commit: bool) -> None:
        await self.session.execute("COMMIT" if commit else "ROLLBACK")
        self.house.free.append(self.session)


@dataclass
class RealHouse(House):
    """And what only the real one has."""

    database: Any
    control: PostgresControl
    uri: str
    free: list[Any] = field(default_factory=list)


@dataclass
class FakeTransaction:
    """Of the fake."""

    writing: Writing

    async def end(self, *, commit: bool) -> None:
        (self.writing.commit if commit else self.writing.roll_back)()


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

    async def begin() -> Transaction:
        session = found.free.pop() if found.free else await asyncpg.connect(uri)
        await session.execute(f"BEGIN; {INSERT}")
        return RealTransaction(session, found)

    found = RealHouse(PostgresDoorbell(control, TABLE), begin, database, control, uri)
    try:
        yield found
    finally:
        await control.close()
        for session in found.free:
            await session.close()
        await database.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


def control_arguments(uri: str) -> tuple[Database, str, MappingCredentials, str]:
    source = Database.model_validate({"uriSecretRef": {"name": "db", "key": "uri"}})
    return source, uuid.uuid4().hex, MappingCredentials({("db", "uri"): uri}), "outboxrelay bell"


def control_of(uri: str) -> PostgresControl:
    return PostgresControl(*control_arguments(uri))
