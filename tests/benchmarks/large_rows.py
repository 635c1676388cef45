"""Peak memory of a relay that drains rows of one megabyte."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.benchmarks import backlog, servers
from tests.benchmarks.arrivals import Arrivals
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 240
TOPIC = {"max.message.bytes": "2097152"}
INSERT = f"""
INSERT INTO {backlog.TABLE} (aggregate_type, aggregate_id, event_type, payload)
SELECT 'order', 'o-' || i % 50, 'OrderPlaced', to_jsonb((
    SELECT string_agg(md5(i::text || '/' || part::text), '') FROM generate_series(1, 31250) part))
FROM generate_series($1::int, $2::int) i
"""


async def measure(folder: Path) -> dict[str, float]:
    """VmHWM in MB when ``ROWS`` rows of 1 MB, which do not compress in the table, have arrived."""
    topic = servers.create_topic(settings=TOPIC)
    async with backlog.empty_table() as (uri, session):
        await session.execute(f"ALTER TABLE {backlog.TABLE} ALTER payload SET STORAGE EXTERNAL")
        for start in range(1, ROWS + 1, 20):
            await session.execute(INSERT, start, start + 19)
        arrivals, began = Arrivals(topic), time.perf_counter()
        config = manifest(table=backlog.TABLE, topic=topic, servers=servers.KAFKA)
        with RelayProcess(folder, config, uri, "large") as relay:
            drain = await asyncio.to_thread(arrivals.watch, ROWS, began)
            peak, now = relay.memory_mb("VmHWM"), relay.memory_mb()
    servers.delete_topic(topic)
    print(f"  {ROWS} rows of 1 MB: peak {peak:.1f} MB, then {now:.1f} MB; {drain.steady:.0f} rows/s", flush=True)
    return {"relay_rss_mb_max": round(peak, 1), "large_rows_per_s": round(drain.steady)}
