"""Rows per second while a backlog of a given size stands: what a row costs must not depend on how many wait behind it.

A backlog that is only drained is over in a moment where it is small, and start and end would be all that is measured.
So a feeder inserts what the relay takes, by the same small statements at every size, and the rate is that of the
window in between. The smallest size is measured first and last: the difference is the machine's own unrest.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "5m": 5_000_000}
BATCH_ROWS = 1000
"""Far less than the smallest backlog, so that every read finds a full batch at every size."""
FEED_ROWS = 1000
WARM_UP_SECONDS = 3.0
INSERT = f"""
INSERT INTO {backlog.TABLE} (aggregate_type, aggregate_id, event_type, payload)
SELECT 'order', 'o-' || (i % 10000), 'OrderPlaced', jsonb_build_object('order_id', i)
FROM generate_series(1, $1::int) i
"""


async def measure(folder: Path, seconds: float, largest: int) -> dict[str, float]:
    """Rates at each size up to ``largest`` rows, and of the largest as a share of the smallest."""
    sizes = [name for name, size in SIZES.items() if size <= largest]
    rates: dict[str, float] = {}
    async with backlog.empty_table() as (uri, session):
        for turn, name in enumerate([*sizes, sizes[0]]):
            rate = await standing(folder, uri, session, SIZES[name], seconds, turn)
            print(f"  backlog of {SIZES[name]:,}: {rate:,.0f}/s", flush=True)
            rates[name] = (rates[name] + rate) / 2 if name in rates else rate
    figures = {f"backlog_scaling_{name}_per_s": float(round(rate)) for name, rate in rates.items()}
    figures[f"backlog_scaling_{sizes[-1]}_vs_{sizes[0]}"] = round(rates[sizes[-1]] / rates[sizes[0]], 3)
    return figures


async def standing(folder: Path, uri: str, session: Any, size: int, seconds: float, turn: int) -> float:
    """Rows per second over ``seconds`` in which about ``size`` rows always wait."""
    topic = servers.create_topic()
    await session.execute(f"TRUNCATE {backlog.TABLE}")
    await session.execute("SET synchronous_commit = off")
    await session.execute(INSERT, size)
    await backlog.settle_down(session)
    config = manifest(
        table=backlog.TABLE, topic=topic, servers=servers.KAFKA, source={"read": {"batchSize": BATCH_ROWS}}
    )
    arrivals = Arrivals(topic)
    with RelayProcess(folder, config, uri, f"scaling-{turn}") as relay:
        await asyncio.to_thread(relay.wait_ready)
        feeder = Feeder(session, arrivals)
        await feeder.feed(WARM_UP_SECONDS)
        before, began = arrivals.count(), time.perf_counter()
        await feeder.feed(seconds)
        rate = (arrivals.count() - before) / (time.perf_counter() - began)
    servers.delete_topic(topic)
    return rate


class Feeder:
    """Inserts as many rows as have arrived."""

    def __init__(self, session: Any, arrivals: Arrivals) -> None:
        self._session = session
        self._arrivals = arrivals
        self._fed = 0

    async def feed(self, seconds: float) -> None:
        """For so long."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            lacking = self._arrivals.count() - self._fed
            for _ in range(lacking // FEED_ROWS):
                await self._session.execute(INSERT, FEED_ROWS)
                self._fed += FEED_ROWS
            await asyncio.sleep(0.005)
