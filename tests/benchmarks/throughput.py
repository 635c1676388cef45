"""How fast one relay process drains a backlog, as a share of the floor measured in turns with it."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.benchmarks.floor import DDL, FILL
from tests.support.relay_process import RelayProcess, manifest

FLOOR = Path(__file__).with_name("floor.py")
TABLE = "outbox_drain"


class Pair(NamedTuple):
    """Events per second of the floor and of the relay, one right after the other."""

    floor: float
    relay: float
    rss_mb: float
    peak_mb: float

    @property
    def share(self) -> float:
        """The relay's as a share of the floor's."""
        return self.relay / self.floor


async def measure(folder: Path, rows: int, pairs: int) -> dict[str, float]:
    """The medians of ``pairs`` pairs."""
    found = []
    for number in range(pairs):
        floor = await run_floor(rows)
        rate, rss, peak = await drain(folder, rows, number)
        found.append(Pair(floor, rate, rss, peak))
        print(
            f"  pair {number + 1}: floor {floor:,.0f}/s, relay {rate:,.0f}/s, share {found[-1].share:.2f}", flush=True
        )
    return {
        "throughput_vs_floor": round(statistics.median(pair.share for pair in found), 3),
        "throughput_per_s": round(statistics.median(pair.relay for pair in found)),
        "floor_per_s": round(statistics.median(pair.floor for pair in found)),
        "relay_rss_mb": round(max(pair.rss_mb for pair in found), 1),
        "relay_peak_mb": round(max(pair.peak_mb for pair in found), 1),
    }


async def run_floor(rows: int) -> float:
    """Events per second of the bare loop."""
    topic = servers.create_topic()
    async with servers.database() as uri:
        command = [sys.executable, str(FLOOR), "--dsn", uri, "--brokers", servers.KAFKA, "--topic", topic]
        done = subprocess.run([*command, "--rows", str(rows)], check=True, capture_output=True, text=True, timeout=300)
    servers.delete_topic(topic)
    match = re.search(r"floor (\d+)", done.stdout)
    assert match, done.stdout
    return float(match[1])


async def drain(folder: Path, rows: int, number: int) -> tuple[float, float, float]:
    """Events per second from the first to the last row of a backlog, resident and peak memory in MB.

    The backlog is there before the relay starts; its start-up is not counted, as the floor's is not.
    """
    topic = servers.create_topic()
    async with servers.database() as uri:
        connection: Any = await asyncpg.connect(uri)
        await connection.execute(DDL.replace("outbox_floor", TABLE))
        await connection.execute(FILL.replace("outbox_floor", TABLE), rows)
        await connection.execute(f"VACUUM ANALYZE {TABLE}")
        config = manifest(table=TABLE, topic=topic, servers=servers.KAFKA)
        with RelayProcess(folder, config, uri, f"drain-{number}") as relay:
            first = relay.wait(lambda report: delivered(report) > 0, 60, 0.02)
            started = time.perf_counter()
            relay.wait(lambda report: delivered(report) >= rows, 300, 0.1)
            while await connection.fetchval(f"SELECT EXISTS (SELECT FROM {TABLE})"):
                pass
            seconds = time.perf_counter() - started
            memory = relay.memory_mb(), relay.memory_mb("VmHWM")
        await connection.close()
    servers.delete_topic(topic)
    return (rows - delivered(first)) / seconds, *memory


def delivered(report: dict[str, Any]) -> int:
    """Rows that this process delivered."""
    return int(report["delivery"]["rowsTotal"])
