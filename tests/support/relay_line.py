"""A database, a topic and relay processes between them, for tests that run the real thing by hand."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from outboxrelay.adapters.postgres_statements import sql

from .oracle import Oracle, Verdict, verdict
from .relay_process import RelayProcess, manifest

FAST_RETRY = {"initialBackoffMilliseconds": 100, "maxBackoffSeconds": 2}


@dataclass
class RelayLine:
    """One line from an outbox table to a topic."""

    uri: str
    servers: str
    topic: str
    folder: Path
    database: asyncpg.Connection
    relays: list[RelayProcess] = field(default_factory=list)

    def manifest(self, *, table: str = "outbox", **spec: Any) -> dict[str, Any]:
        """A manifest of this line; the same uid for every relay of it."""
        spec.setdefault("retry", FAST_RETRY)
        return manifest(table=table, topic=self.topic, servers=self.servers, name="line", **spec)

    def start(self, *, config: dict[str, Any] | None = None, uri: str | None = None, **spec: Any) -> RelayProcess:
        """One more relay process."""
        relay = RelayProcess(
            self.folder, config or self.manifest(**spec), uri or self.uri, member=f"relay-{len(self.relays)}"
        )
        self.relays.append(relay)
        return relay

    async def connect(self) -> Any:
        """One more session of the service."""
        return await asyncpg.connect(self.uri)

    async def install(self, *parts: str, table: str = "outbox") -> None:
        """What `outboxrelay sql` prints: the schema, and of ``parts`` archive and doorbell."""
        for part in ("schema", *(part for part in parts if part != "doorbell")):
            await self.database.execute(sql(f"schema/{part}"))
        if "doorbell" in parts:
            await self.database.execute(
                f"CREATE TRIGGER outboxrelay_ring AFTER INSERT ON {table} FOR EACH STATEMENT "
                "EXECUTE FUNCTION outboxrelay.ring()"
            )

    async def topics(self, *names: str, partitions: int = 3, settings: dict[str, str] | None = None) -> None:
        """More topics."""
        client = AdminClient({"bootstrap.servers": self.servers})
        made = client.create_topics([NewTopic(name, partitions, 1, config=settings or {}) for name in names])
        for future in made.values():
            await asyncio.to_thread(future.result, 30)

    async def pending(self, table: str = "outbox") -> int:
        """Rows in the table."""
        found: int = await self.database.fetchval(f"SELECT count(*) FROM {table}")
        return found

    async def emptied(self, table: str = "outbox", seconds: float = 120, rows: int = 0) -> None:
        """Wait until only ``rows`` are left; ``seconds`` is no promise but the end of patience on a busy machine."""
        async with asyncio.timeout(seconds):
            while await self.pending(table) > rows:
                await asyncio.sleep(0.05)


async def judged(oracle: Oracle, line: RelayLine, seconds: float = 120) -> Verdict:
    """The verdict when all that was committed has arrived and the table is empty, or after ``seconds``."""
    wanted = {event.event_id for event in oracle.writer.committed}
    if await asyncio.to_thread(oracle.consumer.wait_for, wanted, seconds):
        await line.emptied(oracle.writer.table.name)
    return verdict(oracle.writer.committed, list(oracle.consumer.arrived), frozenset())


@asynccontextmanager
async def relay_line(
    folder: Path, partitions: int = 3, settings: dict[str, str] | None = None
) -> AsyncIterator[RelayLine]:
    """A fresh database and topic; processes and database go with the block."""
    base, name = os.environ["OUTBOXRELAY_POSTGRES_URI"], f"line_{uuid.uuid4().hex[:8]}"
    servers = os.environ["OUTBOXRELAY_KAFKA_SERVERS"]
    admin = await asyncpg.connect(base)
    await admin.execute(f"CREATE DATABASE {name}")
    topic = name.replace("_", "-")
    client = AdminClient({"bootstrap.servers": servers})
    created = client.create_topics([NewTopic(topic, partitions, 1, config=settings or {})])[topic]
    await asyncio.to_thread(created.result, 30)
    uri = base.replace("/postgres?", f"/{name}?")
    database = await asyncpg.connect(uri)
    line = RelayLine(uri, servers, topic, folder, database)
    try:
        yield line
    finally:
        for relay in line.relays:
            await asyncio.to_thread(relay.stop)
        await database.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
