"""Rows per second while a backlog of a given size stands: what a row costs must not depend on how many wait behind it.

A backlog that is only drained is over in a moment where it is small, and start and end would be all that is measured.
So a feeder inserts what the relay takes, by the same small statements at every size, and the rate is that of the
window in between. The smallest size is measured first and last: the difference is the machine's own unrest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals
from tests.benchmarks.feeder import Feeder
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "5m": 5_000_000}
BATCH_ROWS = 1000
"""Far less than the smallest backlog, so that every read finds a full batch at every size."""
WARM_UP_SECONDS = 3.0


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
    await session.execute(backlog.INSERT, size)
    await backlog.settle_down(session)
    config = manifest(
        table=backlog.TABLE, topic=topic, servers=servers.KAFKA, source={"read": {"batchSize": BATCH_ROWS}}
    )
    arrivals = Arrivals(topic)
    with RelayProcess(folder, config, uri, f"scaling-{turn}") as relay:
        await asyncio.to_thread(relay.wait_ready)
        rate = await Feeder(session, arrivals).rate(WARM_UP_SECONDS, seconds)
    servers.delete_topic(topic)
    return rate
