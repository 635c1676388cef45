"""One run: Debezium carries a table, a relay takes over, twice the way back is gone too, and a writer never stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.connect import Connect
from tests.benchmarks.debezium import source_of
from tests.migration import sightings
from tests.migration.steps import Switch, switch
from tests.migration.table import DELETE_AT_ONCE, LEAVE, DebeziumTable
from tests.support.oracle import Verdict, Writer, verdict
from tests.support.records import Records
from tests.support.relay_line import relay_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.migration.sightings import Sighting
    from tests.support.relay_line import RelayLine

FLUSH_SECONDS = 5
"""How often Debezium confirms. Connect's own default is 60."""
PER_SECOND = 100.0
KEYS = 50
STAGE_SECONDS = 6.0
"""How long each sender sends at least, undisturbed."""
ARRIVAL_SECONDS = 120.0
SETTINGS = {
    "offset.flush.interval.ms": str(FLUSH_SECONDS * 1000),
    "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
}
"""Of the Connect worker; the header converter is Connect's default."""
ROUTER = {
    "transforms": "outbox",
    "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    "transforms.outbox.table.fields.additional.placement": "type:header:eventType",
}
"""The rest is the router's defaults: the columns, and topics outbox.event.<aggregatetype>."""


@dataclass
class Change:
    """From Debezium to the relay, once."""

    confirmed: float
    """Seconds until Debezium had confirmed what was noted,"""
    stopped: float
    """until the connector was gone,"""
    started: float
    """and until the relay was ready."""


@dataclass
class Findings:
    """What one run showed."""

    seen: list[Sighting]
    verdict: Verdict
    changes: list[Change]
    rows_when_quiet: int
    """How many rows had to be written to a quiet table before Debezium had confirmed what was noted."""
    left: int
    """Rows in the table at the end,"""
    slots: list[str]
    """and replication slots."""
    loads: list[float]
    """The machine's load average at each stage: on a busy one processes take long to start."""
    turns: list[list[Sighting]] = field(init=False)

    def __post_init__(self) -> None:
        self.turns = sightings.turns(self.seen)

    def problems(self) -> list[str]:
        """What the how-to promises and was not so."""
        expected = 2 * len(self.changes)
        compared, differing = sightings.both(self.turns)
        found = [] if self.verdict.passed else [self.verdict.report()]
        if len(self.turns) != expected or any(turn[0].by_relay is (n % 2 == 0) for n, turn in enumerate(self.turns)):
            found.append(f"they must take {expected} turns, one after the other; there are {len(self.turns)}")
        disorder = [sightings.disorder(turn) for turn in self.turns]
        found += [f"turn {n}: out of order or twice: {wrong[:3]}" for n, wrong in enumerate(disorder) if wrong]
        found += [f"not the same from both: {pair}" for pair in differing[:3]]
        if not compared:
            found.append("no event was sent by both, so nothing was compared")
        if self.left or self.slots:
            found.append(f"left behind: {self.left} rows, {len(self.slots)} replication slots")
        return found


async def run(folder: Path) -> Findings:
    """The whole way; raises SystemExit where a step does not do what it must."""
    async with relay_line(folder) as line:
        table = DebeziumTable(kind=line.topic)
        topic = f"outbox.event.{table.kind}"
        await line.topics(topic)
        with contextlib.ExitStack() as stack:
            connect = await asyncio.to_thread(stack.enter_context, Connect(folder, SETTINGS))
            async with (
                switch(line, connect, connector(line), f"orders_relay_{line.topic[-8:]}") as steps,
                Writer(line.uri, table, keys=KEYS) as writer,
            ):
                await writer.create_table()
                with Records(line.servers, topic) as consumer:
                    return await Way(steps, writer, consumer).gone()


def connector(line: RelayLine) -> dict[str, str]:
    """Debezium's settings: its defaults, wherever it has any."""
    return {**source_of(line.uri), "topic.prefix": "shop", "table.include.list": "public.outbox", **ROUTER}


@dataclass
class Way:
    """The steps under load, and what was measured on the way."""

    steps: Switch
    writer: Writer
    consumer: Records
    changes: list[Change] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    async def gone(self) -> Findings:
        """From Debezium to the relay and back, twice, and for good."""
        steps = self.steps
        await steps.start_debezium()
        rows = await self.rows_when_quiet()
        await steps.sql(DELETE_AT_ONCE)
        async with self.writer.writing(per_second=PER_SECOND):
            await self.stage("Debezium carries rows that are deleted at once")
            await steps.sql(LEAVE)
            await self.stage("step 1: they stay")
            await steps.make_ready()
            await steps.declare_paused()
            await self.stage("steps 2 and 3: a relay is there, paused")
            await self.over()
            await steps.go_back()
            await self.stage("back: Debezium resumed")
            await self.over(delete=True)
            await steps.go_back(deleted=True)
            await self.stage("back: Debezium created again")
            await self.over()
            await steps.end_debezium()
            await self.stage("step 6: Debezium is gone")
        return await self.findings(rows)

    async def rows_when_quiet(self) -> int:
        """How many rows step 4 needs where nobody else writes; what was made for it is gone afterwards."""
        await self.writer.transaction()
        await self.all_there()
        await self.steps.note()
        for number in (1, 2, 3):
            await self.writer.transaction()
            if await self.steps.passed(2.5 * FLUSH_SECONDS) is not None:
                await self.steps.sql("DROP TABLE outbox_sent, outbox_sent_until")
                return number
        raise SystemExit("Debezium does not confirm what was noted, though three rows came after it")

    async def over(self, *, delete: bool = False) -> None:
        """Steps 4 and 5."""
        await self.steps.note()
        confirmed = await self.steps.passed()
        if confirmed is None:
            raise SystemExit("Debezium does not confirm what was noted")
        times = [time.monotonic()]
        await self.steps.stop_debezium(delete=delete)
        times.append(time.monotonic())
        await self.steps.start_relay()
        times.append(time.monotonic())
        self.changes.append(Change(confirmed, times[1] - times[0], times[2] - times[1]))
        await self.stage(f"steps 4 and 5: the relay runs (change {len(self.changes)})")

    async def stage(self, title: str) -> None:
        """Let it be for a while, until all that was committed by then is there."""
        print(f"  {title}", flush=True)
        self.loads.append(os.getloadavg()[0])
        await asyncio.sleep(STAGE_SECONDS)
        await self.all_there()

    async def all_there(self) -> None:
        """Wait until all that is committed has arrived."""
        wanted = {event.event_id for event in self.writer.committed}
        if not await asyncio.to_thread(self.consumer.wait_for, wanted, ARRIVAL_SECONDS):
            missing = len(wanted - self.consumer.ids)
            raise SystemExit(f"{missing} of {len(wanted)} events have not arrived after {ARRIVAL_SECONDS:.0f} s")

    async def findings(self, rows_when_quiet: int) -> Findings:
        """When all has arrived and the table is empty, or nothing moves any more."""
        await self.all_there()
        with contextlib.suppress(TimeoutError):
            await self.steps.line.emptied()
        await asyncio.to_thread(self.consumer.wait_for_end)
        arrived, records = self.consumer.arrived, self.consumer.records
        return Findings(
            seen=[sightings.sighting(each, one.arrived_at) for each, one in zip(records, arrived, strict=True)],
            verdict=verdict(self.writer.committed, arrived),
            changes=self.changes,
            rows_when_quiet=rows_when_quiet,
            left=await self.steps.line.pending(),
            slots=await self.steps.slots(),
            loads=self.loads,
        )
