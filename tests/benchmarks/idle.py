"""What a relay costs that has nothing to do: processor share and statements per second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.benchmarks import servers
from tests.support.oracle import OutboxTable
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

SETTLE_SECONDS = 8


async def measure(folder: Path, seconds: float) -> dict[str, float]:
    """Percent of one core, and statements per second, over ``seconds`` after the relay came to rest."""
    topic = servers.create_topic()
    async with servers.database() as uri:
        connection: Any = await asyncpg.connect(uri)
        await connection.execute(OutboxTable().ddl())
        await connection.close()
        with RelayProcess(folder, manifest(table="outbox", topic=topic, servers=servers.KAFKA), uri, "idle") as relay:
            relay.wait_ready()
            await asyncio.sleep(SETTLE_SECONDS)
            cpu, queries = relay.cpu_seconds(), await servers.statements(uri)
            await asyncio.sleep(seconds)
            used, asked = relay.cpu_seconds() - cpu, await servers.statements(uri) - queries
    servers.delete_topic(topic)
    return {
        "idle_cpu_percent": round(100 * used / seconds, 2),
        "idle_queries_per_s": round(asked / seconds, 2),
    }
