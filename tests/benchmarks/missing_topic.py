"""What one missing topic costs the nine beside it, where rows name their topic.

First a backlog is drained, in turns with all ten there and without the last. The watch runs, by the times at which the
brokers appended the records, from the first record to the last one of the nine. Then rows arrive steadily, and the time
from COMMIT to append is compared. At the end of each turn the missing topic is made, and all of its rows must come, in
order.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.benchmarks.judgement import require
from tests.support.appends import TOPIC, appends, span, topic_number
from tests.support.oracle import Arrived, Committed, Latency, Writer, verdict
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOPICS = 10
KEYS = 1000
PER_SECOND = 1000
LANE = "ALTER TABLE outbox ADD lane text NOT NULL GENERATED ALWAYS AS (right(aggregate_id, 1)) STORED"
"""The last digit of the key names the topic, so that every key has one topic and every topic a tenth of the rows."""
LAST = str(TOPICS - 1)
PARTITIONS = 3
THERE, MISSING = "all ten there", "one missing"
HEAL_SECONDS = 120.0
STEADY: dict[str, Any] = {"per_second": PER_SECOND, "rollback_share": 0, "late_share": 0}


async def measure(folder: Path, rows: int, pairs: int, seconds: float) -> dict[str, float]:
    """Percent that nine topics are slower, and seconds until the tenth has all of its rows once it is made.

    Raises SystemExit where a row is lost, repeated or out of order.
    """
    drains: dict[str, list[float]] = {THERE: [], MISSING: []}
    latencies: dict[str, Latency] = {}
    heals = []
    for number in range(pairs):
        for turn, found in drains.items():
            async with ten_topics(turn) as line:
                took, heal = await drain(folder, line, rows, f"topics-{number}-{turn == MISSING}")
            found.append(took)
            heals += [heal] if turn == MISSING else []
        told = ", ".join(f"{turn} {found[-1]:.2f} s" for turn, found in drains.items())
        print(f"  turn {number + 1}: {told}; made, and all there after {heals[-1]:.1f} s", flush=True)
    for turn in drains:
        async with ten_topics(turn) as line:
            latencies[turn], heal = await steady(folder, line, seconds, f"topics-steady-{turn == MISSING}")
        heals += [heal] if turn == MISSING else []
        print(
            f"  {PER_SECOND:,}/s, {turn}: p50 {latencies[turn].p50:.0f} ms, p99 {latencies[turn].p99:.0f} ms",
            flush=True,
        )
    print(f"  made while rows arrive, and all there after {heals[-1]:.1f} s", flush=True)
    there, missing = (statistics.median(found) for found in drains.values())
    return {
        "missing_topic_slowdown_percent": round(100 * (missing / there - 1), 1),
        "missing_topic_p99_ms": round(latencies[MISSING].p99, 1),
        "missing_topic_p99_ms_all_there": round(latencies[THERE].p99, 1),
        "missing_topic_heals_seconds": round(max(heals), 1),
    }


class Line(NamedTuple):
    """A table whose rows name ten topics."""

    turn: str
    uri: str
    topics: list[str]
    session: Any
    writer: Writer

    @property
    def missing(self) -> str | None:
        """The topic that is not there."""
        return self.topics[-1] if self.turn == MISSING else None

    def may_wait(self) -> frozenset[str]:
        """Ids of the events that wait for the topic that is not there."""
        return frozenset() if self.missing is None else frozenset(event.event_id for event in self.of_tenth())

    def of_tenth(self) -> list[Committed]:
        """Events for the last topic."""
        return [event for event in self.writer.committed if (event.key or "").endswith(LAST)]

    def of_nine(self) -> list[Committed]:
        """Events for the others."""
        return [event for event in self.writer.committed if not (event.key or "").endswith(LAST)]

    def relay(self, folder: Path, name: str) -> RelayProcess:
        """A relay of the table."""
        base = self.topics[0][:-1]
        target = {"topic": None, "topicTemplate": base + "{lane}", "allowedTopics": [base + "*"]}
        config = manifest(table="outbox", topic=base, servers=servers.KAFKA, target=target)
        return RelayProcess(folder, config, self.uri, name)

    def read(self) -> list[Arrived]:
        """What is in the topics that are there."""
        return appends(servers.KAFKA, [topic for topic in self.topics if topic != self.missing])


@asynccontextmanager
async def ten_topics(turn: str) -> AsyncIterator[Line]:
    """Ten topics, or nine of them, and an empty table."""
    base = servers.topic_name()
    topics = [f"{base}-{number}" for number in range(TOPICS)]
    for topic in topics if turn == THERE else topics[:-1]:
        servers.create_topic(PARTITIONS, TOPIC, topic)
    async with servers.database() as uri, Writer(uri, keys=KEYS, filler=200) as writer:
        session: Any = await asyncpg.connect(uri)
        try:
            await writer.create_table()
            await session.execute(LANE)
            yield Line(turn, uri, topics, session, writer)
        finally:
            await session.close()
    servers.delete_topic(*topics)


async def drain(folder: Path, line: Line, rows: int, name: str) -> tuple[float, float]:
    """Seconds for the nine, and seconds until the tenth had everything once it was made (0: it was there)."""
    await line.writer.bulk(rows)
    await line.session.execute("VACUUM ANALYZE outbox")
    await line.session.execute("CHECKPOINT")
    waiting = line.may_wait()
    with line.relay(folder, name) as relay:
        relay.wait(lambda report: report["delivery"]["rowsTotal"] >= rows - len(waiting), 300, 0.1)
        found = line.read()
        require(verdict(line.writer.committed, found, waiting), waiting=len(waiting))
        heal = await healed(line) if line.missing else 0.0
    return span(found, {event.event_id for event in line.of_nine()}), heal


async def steady(folder: Path, line: Line, seconds: float, name: str) -> tuple[Latency, float]:
    """COMMIT to append of the nine, and seconds until the tenth had everything once it was made."""
    heal = 0.0
    with line.relay(folder, name) as relay:
        await asyncio.to_thread(relay.wait_ready)
        await line.writer.write(int(PER_SECOND * seconds), **STEADY)
        waiting = line.may_wait()
        await left(line, len(waiting))
        found = line.read()
        require(verdict(line.writer.committed, found, waiting), waiting=len(waiting))
        latency = verdict(line.of_nine(), [record for record in found if topic_number(record) < TOPICS - 1]).latency
        if line.missing:
            async with line.writer.writing(**STEADY):
                heal = await healed(line)
            await left(line, 0)
            require(verdict(line.writer.committed, appends(servers.KAFKA, line.topics)))
    if latency is None:
        raise SystemExit("nothing arrived")
    return latency, heal


async def healed(line: Line) -> float:
    """Make the topic that is missing; seconds until what waited for it by then has all arrived, in order."""
    events = line.of_tenth()
    made = time.time()
    await asyncio.to_thread(servers.create_topic, PARTITIONS, TOPIC, line.topics[-1])
    last = max(event.row_id for event in events)
    waits = f"SELECT EXISTS (SELECT FROM outbox WHERE lane = '{LAST}' AND id <= $1)"
    async with asyncio.timeout(HEAL_SECONDS):
        while await line.session.fetchval(waits, last):
            await asyncio.sleep(0.2)
    found = appends(servers.KAFKA, [line.topics[-1]])
    ids = {event.event_id for event in events}
    require(verdict(events, [record for record in found if record.event_id in ids]))
    return max(record.arrived_at for record in found if record.event_id in ids) - made


async def left(line: Line, rows: int) -> None:
    """Wait until only ``rows`` are in the table."""
    async with asyncio.timeout(HEAL_SECONDS):
        while await line.session.fetchval("SELECT count(*) FROM outbox") > rows:
            await asyncio.sleep(0.2)
