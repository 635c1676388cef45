"""What a drain loses while a session elsewhere holds an old snapshot, so that no dead row can be removed.

Three drains in turns over a table with as many dead rows in front of the backlog as the backlog has rows: nobody holds
anything and vacuum was there; a session holds a snapshot (a long report: REPEATABLE READ, read only); a session holds a
transaction that has written (a forgotten one), which also keeps the relay from being sure that no lower id follows.
"""

from __future__ import annotations

import statistics
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
HOLDERS = {
    "nobody": [],
    "snapshot": [BEGIN, "SELECT count(*) FROM pg_class"],
    "transaction": [BEGIN, "SELECT pg_current_xact_id()"],
}


async def measure(folder: Path, rows: int, pairs: int) -> dict[str, float]:
    """Percent of throughput lost, by the medians of ``pairs`` turns."""
    rates: dict[str, list[float]] = {name: [] for name in HOLDERS}
    for number in range(pairs):
        for name in HOLDERS:
            rates[name].append(await drain(folder, rows, name, number))
        told = ", ".join(f"{name} holds: {found[-1]:,.0f}/s" for name, found in rates.items())
        print(f"  turn {number + 1}: {told}", flush=True)
    free = statistics.median(rates["nobody"])
    return {
        f"held_{name}_loss_percent": round(100 * (1 - statistics.median(found) / free), 1)
        for name, found in rates.items()
        if name != "nobody"
    }


async def drain(folder: Path, rows: int, holder: str, number: int) -> float:
    """Events per second from the first message to the last."""
    topic = servers.create_topic()
    async with backlog.empty_table() as (uri, session), _held(uri, HOLDERS[holder]):
        await backlog.fill(session, rows)
        await session.execute(f"DELETE FROM {backlog.TABLE}")
        await backlog.fill(session, rows)
        arrivals, began = Arrivals(topic), time.perf_counter()
        config = manifest(table=backlog.TABLE, topic=topic, servers=servers.KAFKA)
        with RelayProcess(folder, config, uri, f"held-{holder}-{number}"):
            rate = arrivals.watch(rows, began).steady
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
