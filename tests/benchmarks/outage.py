"""A minute without brokers while services go on writing: what the relay does meanwhile, and how it comes back.

Kafka is stopped (or frozen) for AWAY_SECONDS under a steady load. Counted are attempts to reach it (the relay's own
count of the times its circuit opened), processor time, memory and statements in the database; then, second by second,
what is delivered beside what the ramp allows, until the oldest pending row is young again. The oracle judges the whole.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.benchmarks.judgement import require
from tests.benchmarks.recovery import Sample, lines, normal_after, ramp_percent
from tests.support.oracle import Oracle
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PER_SECOND = 500
BEFORE_SECONDS = 15.0
AWAY_SECONDS = 60.0
LOOK_SECONDS = 0.2
SAMPLE_SECONDS = 1.0
RECOVERY_SECONDS = 180.0
RUNNING = (
    "SELECT pid, query_start FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE 'outboxrelay%'"
)
"""A statement shows here until the next one of its session begins: a look every fifth of a second misses few."""
LAG = "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 FROM outbox"


class Away(NamedTuple):
    """What the relay did while the brokers were away."""

    seconds: float
    attempts: float
    cpu_percent: float
    statements: int
    memory_before_mb: float
    memory_most_mb: float

    def __str__(self) -> str:
        return (
            f"{self.attempts:.0f} attempts in {self.seconds:.0f} s, {self.cpu_percent:.1f} % of a core, "
            f"{self.statements / self.seconds:.1f} statements/s, "
            f"memory {self.memory_before_mb:.1f} MB before, {self.memory_most_mb:.1f} MB at most"
        )


async def measure(folder: Path, leave: str, come_back: str, name: str) -> dict[str, float]:
    """Figures that begin with ``name``; ``leave`` and ``come_back`` are verbs of `python3 -m tests.cluster kafka`.

    Raises SystemExit where an event is lost or out of order.
    """
    topic = servers.create_topic()
    async with servers.database() as uri, Oracle(uri, servers.KAFKA, topic, keys=1000, seed=PER_SECOND) as oracle:
        await oracle.writer.create_table()
        session: Any = await asyncpg.connect(uri)
        with RelayProcess(folder, manifest(table="outbox", topic=topic, servers=servers.KAFKA), uri, name) as relay:
            await asyncio.to_thread(relay.wait_ready)
            async with oracle.writer.writing(per_second=PER_SECOND):
                await asyncio.sleep(BEFORE_SECONDS)
                before = relay.memory_mb()
                try:
                    await kafka(leave)
                    away = await watch_away(relay, session, before)
                finally:
                    await kafka(come_back)
                print(f"  kafka {leave}: {away}", flush=True)
                samples = await watch_recovery(relay, session)
            verdict = await oracle.verdict()
        await session.close()
    print("\n".join(f"  {line}" for line in [*lines(samples), str(verdict)]), flush=True)
    require(verdict, duplicates=True)
    servers.delete_topic(topic)
    recovered = normal_after(samples)
    if recovered is None:
        raise SystemExit(f"{RECOVERY_SECONDS:.0f} s after the brokers were back rows were still late")
    return {
        f"{name}_attempts_per_minute": round(60 * away.attempts / away.seconds, 1),
        f"{name}_cpu_percent": round(away.cpu_percent, 2),
        f"{name}_statements_per_s": round(away.statements / away.seconds, 2),
        f"{name}_memory_growth_mb": round(away.memory_most_mb - away.memory_before_mb, 1),
        f"{name}_memory_mb_afterwards": round(max(sample.memory_mb for sample in samples), 1),
        f"{name}_ramp_percent": round(ramp_percent(samples), 1),
        f"{name}_recovery_seconds": round(recovered, 1),
        f"{name}_duplicates": verdict.duplicates,
    }


async def watch_away(relay: RelayProcess, session: Any, memory_before: float) -> Away:
    """What the relay does for AWAY_SECONDS."""
    began, cpu = time.monotonic(), relay.cpu_seconds()
    attempts, rows = await asyncio.to_thread(counts, relay)
    running = {tuple(row) for row in await session.fetch(RUNNING)}
    seen, most = set(running), memory_before
    while (seconds := time.monotonic() - began) < AWAY_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        seen |= {tuple(row) for row in await session.fetch(RUNNING)}
        most = max(most, relay.memory_mb())
    used = 100 * (relay.cpu_seconds() - cpu) / seconds
    attempts_after, rows_after = await asyncio.to_thread(counts, relay)
    if rows_after != rows:
        raise SystemExit("rows were delivered meanwhile: somebody else brought Kafka back")
    return Away(seconds, attempts_after - attempts, used, len(seen - running), memory_before, most)


async def watch_recovery(relay: RelayProcess, session: Any) -> list[Sample]:
    """Samples from now until rows are delivered in time again and at any rate."""
    began = time.monotonic()
    found: list[Sample] = []
    while time.monotonic() - began < RECOVERY_SECONDS:
        report = await asyncio.to_thread(relay.state)
        if report is not None:
            lag = float(await session.fetchval(LAG))
            found.append(sample(time.monotonic() - began, report, relay.memory_mb(), lag))
        if is_over(found):
            break
        await asyncio.sleep(SAMPLE_SECONDS)
    return found


def is_over(samples: Sequence[Sample]) -> bool:
    """Whether nothing more is to be seen."""
    return normal_after(samples) is not None and samples[-1].state != "Ramping"


def sample(at: float, report: dict[str, Any], memory: float, lag: float) -> Sample:
    """What a report of the relay says."""
    delivery = report["delivery"]
    flow = delivery["flow"]
    return Sample(at, delivery["rowsTotal"], flow["state"], flow["rowsPerSecond"], flow["reason"], memory, lag)


def counts(relay: RelayProcess) -> tuple[float, float]:
    """How often its circuit opened so far, and how many rows it delivered."""
    faults, rows = (relay.metric(f"outboxrelay_{name}_total") for name in ("target_faults", "delivered_rows"))
    return sum(faults), sum(rows)


async def kafka(verb: str) -> None:
    """Stop, start, freeze or thaw the broker."""
    command = [sys.executable, "-m", "tests.cluster", "kafka", verb]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=120)
