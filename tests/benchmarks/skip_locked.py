"""How fast the relay drains a backlog against the textbook loop (loop.py), in turns."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import backlog, servers, throughput

LOOP = Path(__file__).with_name("loop.py")
BATCHES = (100, 5000)


async def measure(folder: Path, rows: int, pairs: int) -> dict[str, float]:
    """The medians of ``pairs`` turns of the relay and of the loop with each batch."""
    relay: list[float] = []
    loops: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for number in range(pairs):
        for batch in BATCHES:
            loops[batch].append(await run_loop(rows, batch))
        relay.append((await throughput.drain(folder, rows, number))[0])
        told = ", ".join(f"loop of {batch} {loops[batch][-1]:,.0f}/s" for batch in BATCHES)
        times = " and ".join(f"{relay[-1] / loops[batch][-1]:.2f}" for batch in BATCHES)
        print(f"  turn {number + 1}: {told}, relay {relay[-1]:,.0f}/s, {times} times", flush=True)
    figures: dict[str, float] = {}
    for batch, rates in loops.items():
        shares = [one / other for one, other in zip(relay, rates, strict=True)]
        figures[f"throughput_vs_skip_locked_{batch}"] = round(statistics.median(shares), 2)
        figures[f"skip_locked_{batch}_per_s"] = round(statistics.median(rates))
    return figures


async def run_loop(rows: int, batch: int) -> float:
    """Events per second of the loop."""
    topic = servers.create_topic()
    async with backlog.empty_table() as (uri, session):
        await backlog.fill(session, rows)
        command = [sys.executable, str(LOOP), "--dsn", uri, "--brokers", servers.KAFKA, "--topic", topic]
        done = subprocess.run(
            [*command, "--batch", str(batch)], check=True, capture_output=True, text=True, timeout=300
        )
        if left := await session.fetchval(f"SELECT count(*) FROM {backlog.TABLE}"):
            raise SystemExit(f"the loop left {left} rows")
    servers.delete_topic(topic)
    match = re.search(r"loop (\d+)", done.stdout)
    assert match, done.stdout
    return float(match[1])
