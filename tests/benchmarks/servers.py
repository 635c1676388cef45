"""The real servers that the benchmarks run on, and the tables and topics they make there."""

from __future__ import annotations

import os
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POSTGRES = os.environ.get("OUTBOXRELAY_POSTGRES_URI", "")
KAFKA = os.environ.get("OUTBOXRELAY_KAFKA_SERVERS", "")


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URI of a database of its own, dropped afterwards."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(POSTGRES)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(POSTGRES)
        yield urlunsplit(parts._replace(path=f"/{name}"))
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


def create_topic(partitions: int = 6) -> str:
    """A new topic's name."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    client = admin()  # held until the answer is there: its end would cancel the request
    client.create_topics([NewTopic(name, partitions, 1)])[name].result(30)
    return name


def delete_topic(name: str) -> None:
    """Remove it again."""
    client = admin()
    client.delete_topics([name])[name].result(30)


def admin() -> AdminClient:
    """A client for topics."""
    return AdminClient({"bootstrap.servers": KAFKA})


async def statements(uri: str) -> int:
    """Transactions committed in this database so far: one for each autocommitted statement."""
    connection: Any = await asyncpg.connect(uri)
    try:
        return int(
            await connection.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        )
    finally:
        await connection.close()
