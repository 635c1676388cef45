"""What a running relay loses while a session elsewhere holds an old snapshot, so that no dead row can be removed.

In turns, over a table with as many dead rows in front of the backlog as the backlog has rows, and ever more while it
runs: nobody holds anything; a session holds a snapshot (a long report: REPEATABLE READ, read only); a session holds a
transaction that has written elsewhere (a forgotten one); a session holds one that has written to the outbox table
itself, so that a lower id may still appear. A feeder inserts what the relay takes. The watch starts some seconds after
the relay, which learns first from where on to read.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.feeder import Feeder
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BACKLOG_ROWS = 100_000
WARM_UP_SECONDS = 8.0
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
HOLDERS = {
    "nobody": [],
    "snapshot": [BEGIN, "SELECT count(*) FROM pg_class"],
    "transaction": [BEGIN, "SELECT pg_current_xact_id()"],
    "insert": [BEGIN, backlog.INSERT.replace("$1::int", "1")],
}


async def measure(folder: Path, seconds: float, pairs: int) -> dict[str, float]:
    """Percent of throughput lost, by the medians of ``pairs`` turns of ``seconds`` each."""
    rates: dict[str, list[float]] = {name: [] for name in HOLDERS}
    for number in range(pairs):
        for name in HOLDERS:
            rates[name].append(await running(folder, name, seconds, number))
        told = ", ".join(f"{name} holds: {found[-1]:,.0f}/s" for name, found in rates.items())
        print(f"  turn {number + 1}: {told}", flush=True)
    free = statistics.median(rates["nobody"])
    return {
        f"held_{name}_loss_percent": round(100 * (1 - statistics.median(found) / free), 1)
        for name, found in rates.items()
        if name != "nobody"
    }


async def running(folder: Path, holder: str, seconds: float, number: int) -> float:
    """Events per second over ``seconds``."""
    topic = servers.create_topic()
    async with backlog.empty_table() as (uri, session), _held(uri, HOLDERS[holder]):
        await session.execute("SET synchronous_commit = off")
        await session.execute(backlog.INSERT, BACKLOG_ROWS)
        await session.execute(f"DELETE FROM {backlog.TABLE}")
        await session.execute(backlog.INSERT, BACKLOG_ROWS)
        await backlog.settle_down(session)
        config = manifest(table=backlog.TABLE, topic=topic, servers=servers.KAFKA)
        arrivals = Arrivals(topic)
        with RelayProcess(folder, config, uri, f"held-{holder}-{number}") as relay:
            await asyncio.to_thread(relay.wait_ready)
            rate = await Feeder(session, arrivals).rate(WARM_UP_SECONDS, seconds)
    servers.delete_topic(topic)
    return rate


@asynccontextmanager
async def _held(uri: str, statements: list[str]) -> AsyncIterator[None]:
    session: Any = await asyncpg.connect(uri)
    try:
        for statement in statements:
            await session.execute(statement)
        yield
    finally:
        await session.close()
