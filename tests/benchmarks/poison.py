"""What 20 poison rows among 10,000 cost the others: drains in turns of the same rows under the same spec.

Clean; with poison rows that hold their keys; with poison rows that are moved to quarantine. The watch runs, by the
times at which the broker appended the records, from the first record to the last one that is not behind a poison row
of its own key. In the last turn the causes are mended, and everything else must come, in order.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tests.benchmarks import servers
from tests.benchmarks.judgement import require
from tests.support import poison_rows
from tests.support.appends import TOPIC, appends, span
from tests.support.oracle import Committed, Writer, verdict
from tests.support.relay_process import RelayProcess, manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROWS = 10_000
KEYS = 500
DRAINS = 5
"""For each of --pairs: a drain takes a fraction of a second, so that a median needs many."""
CLEAN, HOLD, QUARANTINE = "clean", "HoldKey", "Quarantine"
SETTINGS = {**TOPIC, "max.message.bytes": poison_rows.TOPIC_BYTES}
HELD_SECONDS = 120.0
"""A held row is tried again after a minute."""


async def measure(folder: Path, pairs: int) -> dict[str, float]:
    """Percent that a drain takes longer; raises SystemExit where a row is lost, repeated or out of order."""
    seconds: dict[str, list[float]] = {turn: [] for turn in (CLEAN, HOLD, QUARANTINE)}
    count = pairs * DRAINS
    for number in range(count):
        for turn, found in seconds.items():
            async with poisoned(turn) as line:
                found.append(await drain(folder, line, f"poison-{turn}-{number}", last=number == count - 1))
        if (number + 1) % DRAINS == 0:
            told = ", ".join(f"{turn} {1000 * statistics.median(found):.0f} ms" for turn, found in seconds.items())
            print(f"  after {number + 1} drains of each, median: {told}", flush=True)
    clean = statistics.median(seconds[CLEAN])
    return {
        "poison_slowdown_percent": _slowdown(seconds[HOLD], clean),
        "poison_slowdown_quarantine_percent": _slowdown(seconds[QUARANTINE], clean),
        "poison_clean_ms": round(1000 * clean),
    }


class Poisoned(NamedTuple):
    """A backlog on its way."""

    turn: str
    uri: str
    topic: str
    session: Any
    rows: list[Committed]
    poison: list[Committed]
    """Which rows are poison, or, in a clean turn, would be."""

    def config(self, *, mended: bool = False) -> dict[str, Any]:
        """The manifest; the same for a clean turn as for the default policy."""
        action = HOLD if self.turn == CLEAN else self.turn
        spec = poison_rows.spec(self.topic, mended=mended, action=action)
        return manifest(table="outbox", topic=self.topic, servers=servers.KAFKA, **spec)


@asynccontextmanager
async def poisoned(turn: str) -> AsyncIterator[Poisoned]:
    """A table full of rows, with poison among them unless the turn is clean; all of it goes with the block."""
    topic = servers.create_topic(settings=SETTINGS)
    async with servers.database() as uri, Writer(uri, keys=KEYS) as writer:
        session: Any = await asyncpg.connect(uri)
        try:
            await writer.create_table()
            for statement in poison_rows.COLUMNS:
                await session.execute(statement)
            rows = await writer.bulk(ROWS)
            await servers.install(uri, "outbox", "schema")
            line = Poisoned(turn, uri, topic, session, rows, poison_rows.chosen(rows, KEYS))
            if turn != CLEAN:
                await poison_rows.spoil(session, line.poison)
            await session.execute("VACUUM ANALYZE outbox")
            await session.execute("CHECKPOINT")
            yield line
        finally:
            await session.close()
    servers.delete_topic(topic)


async def drain(folder: Path, line: Poisoned, name: str, *, last: bool) -> float:
    """Seconds from the first record to the last that need not wait; ``last``: mend and bring the rest too."""
    waiting = poison_rows.behind(line.rows, line.poison)
    free = {event.event_id for event in line.rows} - waiting
    expected = len(free) if line.turn == HOLD else ROWS - (0 if line.turn == CLEAN else len(line.poison))
    with RelayProcess(folder, line.config(), line.uri, name) as relay:
        relay.wait(lambda report: report["delivery"]["rowsTotal"] >= expected, 60)
        found = appends(servers.KAFKA, [line.topic])
        seconds = span(found, free)
        if line.turn == HOLD:
            relay.wait(lambda report: report["held"]["keys"] == poison_rows.POISON, 60)
            require(verdict(line.rows, found, waiting), waiting=len(waiting))
            if last:
                await mend_held(line, relay)
        else:
            await _emptied(line, 60)
    if line.turn == CLEAN:
        require(verdict(line.rows, found))
    if line.turn == QUARANTINE:
        away = {event.event_id for event in line.poison}
        require(verdict([event for event in line.rows if event.event_id not in away], found))
        if last:
            await replay(folder, line, f"{name}-mended")
    return seconds


async def mend_held(line: Poisoned, relay: RelayProcess) -> None:
    """The rows are mended in their table; the relay tries them again by itself."""
    began = time.monotonic()
    await poison_rows.mend_rows(line.session)
    await asyncio.to_thread(relay.wait, lambda report: report["held"]["keys"] == 0, HELD_SECONDS)
    await _emptied(line, 60)
    result = require(verdict(line.rows, appends(servers.KAFKA, [line.topic])))
    print(f"  mended in the table, all there after {time.monotonic() - began:.0f} s: {result}", flush=True)


async def replay(folder: Path, line: Poisoned, name: str) -> None:
    """The causes are mended in spec and topics, and the rows put back by the command."""
    await poison_rows.mend_topics(servers.KAFKA, line.topic)
    began = time.monotonic()
    command = [sys.executable, "-m", "outboxrelay", "quarantine", "replay", "--all"]
    environment = {**os.environ, "OUTBOXRELAY_DATABASE_URI": line.uri}
    with RelayProcess(folder, line.config(mended=True), line.uri, name) as relay:
        await asyncio.to_thread(relay.wait_ready)
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
        await _emptied(line, 60)
    secret = line.topic + poison_rows.SECRET
    found = appends(servers.KAFKA, [line.topic, secret])
    servers.delete_topic(secret)
    if problems := list(poison_rows.replay_problems(found, line.poison)):
        raise SystemExit("\n".join(["replayed rows are not as promised", *problems[:10]]))
    counted = told.stdout.partition(":")[0]
    print(f"  mended in spec and topics, {counted}: all there after {time.monotonic() - began:.0f} s, in order")


async def _emptied(line: Poisoned, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await line.session.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            await asyncio.sleep(0.1)


def _slowdown(seconds: list[float], clean: float) -> float:
    return round(100 * (statistics.median(seconds) / clean - 1), 1)
