"""Milliseconds from COMMIT to the consumer, at a steady rate, by polling and with the doorbell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import servers
from tests.support.oracle import Oracle
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.oracle import Writer


WARM_UP_SECONDS = 2.0
"""Of the same writers, judged but not timed: new connections, and caches that are cold on all sides."""


async def measure(folder: Path, per_second: int, seconds: float, *, doorbell: bool = False) -> dict[str, float]:
    """The percentiles over ``seconds`` of ``per_second`` events, in transactions of one to five rows."""
    name = f"{per_second}_doorbell" if doorbell else str(per_second)
    topic = servers.create_topic()
    async with servers.database() as uri, Oracle(uri, servers.KAFKA, topic, keys=1000, seed=per_second) as oracle:
        await oracle.writer.create_table()
        if doorbell:
            await servers.install(uri, oracle.writer.table.name, "schema", "doorbell")
        config = manifest(table="outbox", topic=topic, servers=servers.KAFKA)
        with RelayProcess(folder, config, uri, f"latency-{name}") as relay:
            report = relay.wait_ready()
            if doorbell:
                servers.require_doorbell(report)
            await write(oracle.writer, per_second, WARM_UP_SECONDS)
            oracle.writer.committed[:] = [event._replace(committed_at=None) for event in oracle.writer.committed]
            await write(oracle.writer, per_second, seconds)
            result = await oracle.verdict()
    servers.delete_topic(topic)
    print(f"  {per_second}/s: {result}", flush=True)
    if not result.passed or result.latency is None:
        raise SystemExit(result.report())
    return {
        f"latency_p50_ms_{name}": round(result.latency.p50, 1),
        f"latency_p99_ms_{name}": round(result.latency.p99, 1),
    }


async def write(writer: Writer, per_second: int, seconds: float) -> None:
    """What is measured: all of it is committed, at once."""
    await writer.write(int(per_second * seconds), per_second=per_second, rollback_share=0, late_share=0)
