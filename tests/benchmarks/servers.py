"""The real servers that the benchmarks run on, and the tables and topics they make there."""

from __future__ import annotations

import os
import subprocess
import sys
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
PARTITIONS = 6


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The URI of a database of its own, dropped afterwards."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(POSTGRES)
    try:
        await server.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(POSTGRES)
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


def create_topic(partitions: int = PARTITIONS, settings: dict[str, str] | None = None, name: str | None = None) -> str:
    """A new topic's name: ``name``, or one that nobody else has."""
    name = name or topic_name()
    client = admin()  # held until the answer is there: its end would cancel the request
    client.create_topics([NewTopic(name, partitions, 1, config=settings or {})])[name].result(30)
    return name


def topic_name() -> str:
    """A name for a topic that nobody else has."""
    return f"bench-{uuid.uuid4().hex[:8]}"


def delete_topic(*names: str) -> None:
    """Remove topics again."""
    client = admin()
    for future in client.delete_topics(list(names)).values():
        future.result(30)


def admin() -> AdminClient:
    """A client for topics."""
    return AdminClient({"bootstrap.servers": KAFKA, "log_level": 4})


async def install(uri: str, table: str, *parts: str) -> None:
    """Run what `outboxrelay sql` prints for ``table``: schema, doorbell, autovacuum, …"""
    command = [sys.executable, "-m", "outboxrelay", "sql", "--table", table]
    for part in parts:
        command += ["--part", part]
    printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if printed.returncode:
        raise SystemExit(f"{parts} not available: {printed.stderr.strip()}")
    session: Any = await asyncpg.connect(uri)
    try:
        await session.execute(printed.stdout)
    finally:
        await session.close()


def require_doorbell(report: dict[str, Any]) -> None:
    """Raises SystemExit where the relay says in its report that something is lacking."""
    if report.get("limitations"):
        raise SystemExit(f"doorbell not available: {'; '.join(report['limitations'])}")


async def versions() -> dict[str, str]:
    """PostgreSQL's and Kafka's."""
    from tests.cluster import kafka_build

    server: Any = await asyncpg.connect(POSTGRES)
    try:
        shown = str(await server.fetchval("SHOW server_version"))
    finally:
        await server.close()
    return {"PostgreSQL": shown.split()[0], "Kafka": kafka_build.VERSION}


async def statements(uri: str) -> int:
    """Transactions committed in this database so far: one for each autocommitted statement."""
    connection: Any = await asyncpg.connect(uri)
    try:
        return int(
            await connection.fetchval("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        )
    finally:
        await connection.close()
