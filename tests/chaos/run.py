"""One run: write while things break, let them calm down, and judge."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tests.support.oracle.verdict import verdict

from . import faults, poison
from .stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.oracle import Verdict

    from .broker import Broker
    from .plan import Plan, Step
    from .postgres_pair import Pair

RECOVERY_SECONDS = 120.0
"""From the end of the last fault until everything is delivered; past it the run has failed."""
PENDING = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL"


class Result(NamedTuple):
    """What one run showed."""

    plan: Plan
    verdict: Verdict
    problems: tuple[str, ...]
    """Everything that is wrong beside the verdict; empty where all is well."""
    faults: Counter[str]
    recovery: float
    """Seconds from the end of the last fault until all that could be was delivered and settled."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Nothing lost, inverted or invented, and nothing else wrong."""
        return self.verdict.passed and not self.problems

    def __str__(self) -> str:
        happened = " ".join(f"{name}×{count}" if count > 1 else name for name, count in sorted(self.faults.items()))
        return f"seed {self.plan.seed}: {self.verdict}, recovered in {self.recovery:.1f} s [{happened}]"


async def run(plan: Plan, pair: Pair, broker: Broker, folder: Path) -> Result:
    """Raises only what is wrong with the run itself, such as a server that does not start."""
    began = time.monotonic()
    async with Stage(plan, pair, broker, folder) as stage:
        await _break_things(stage)
        calm = time.monotonic()
        problems = await _recover(stage)
        recovery = time.monotonic() - calm
        problems += await poison.bring_back(stage) if not problems else []
        judged = await _judge(stage, wait=not problems)
        for host in (*stage.hosts, *stage.gone):
            host.look()
            problems += host.ended_by_itself
        return Result(
            plan,
            judged,
            tuple(problems),
            Counter(step.fault for step in plan.steps),
            recovery,
            time.monotonic() - began,
        )


async def _break_things(stage: Stage) -> None:
    async def later(step: Step) -> None:
        await asyncio.sleep(step.at)
        await faults.act(stage, step)

    rate = stage.plan.setting.rows_per_second
    async with stage.oracle.writer.writing(per_second=rate, late_share=0.2, hold=0.2), asyncio.TaskGroup() as group:
        for step in stage.plan.steps:
            group.create_task(later(step), name=step.fault)


async def _recover(stage: Stage) -> list[str]:
    """Wait until nothing is pending; where a poisoned key is held, its topic is mended first."""
    if stage.plan.setting.poison == "HoldKey":
        await stage.mend()
    session = await stage.connect()
    try:
        async with asyncio.timeout(RECOVERY_SECONDS):
            while await session.fetchval(PENDING):
                await asyncio.sleep(0.1)
    except TimeoutError:
        left = await session.fetchval(PENDING)
        states = [await host.state() for host in stage.hosts]
        return [f"{left} rows are still pending {RECOVERY_SECONDS:.0f} s after the last fault; relays say {states}"]
    finally:
        await session.close()
    return []


async def _judge(stage: Stage, *, wait: bool) -> Verdict:
    """Events that were moved aside have lost their place in their key; ``poison`` looks after them."""
    writer, consumer = stage.oracle.writer, stage.oracle.consumer
    aside = frozenset() if stage.plan.setting.poison == "HoldKey" else frozenset(stage.poison)
    committed = [event for event in writer.committed if event.event_id not in aside]
    if wait:
        wanted = {event.event_id for event in committed}
        await asyncio.to_thread(consumer.wait_for, wanted, 30)
    await asyncio.to_thread(consumer.wait_for_end, quiet=0.5)
    return verdict(committed, [record for record in list(consumer.arrived) if record.event_id not in aside])
