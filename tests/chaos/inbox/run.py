"""One run of the pipe: publish while things break, let them calm down, and count what was done."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from outboxrelay import outbox
from outboxrelay.adapters.postgres_schema import script
from outboxrelay.api.manifest import parse_manifest
from tests.support.inbox_consumer import EFFECTS, NUMBER, ConsumerProcess
from tests.support.relay_line import RelayLine, relay_line

from .plan import CHAOS_SECONDS, Plan, Step
from .topic import Topic
from .verdict import Effect, Judged, judged

if TYPE_CHECKING:
    from pathlib import Path

PARTITIONS = 3
RECOVERY_SECONDS = 120.0
"""From the last fault until everything is processed; past it the run has failed."""
FLOWING_SECONDS = 90.0
COLUMNS = {"headers": "headers", "traceparent": "traceparent"}
WRITERS = 3
ROLLED_BACK = 0.1


class RolledBack(Exception):
    """A transaction that its producer gives up."""


class Result(NamedTuple):
    """What one run showed."""

    plan: Plan
    judged: Judged
    problems: tuple[str, ...]
    repeats: int
    """Messages in the topic beyond one for each event."""
    recovery: float
    """Seconds from the last fault until all was processed."""

    @property
    def passed(self) -> bool:
        """Each event once, in order, and nothing else wrong."""
        return self.judged.passed and not self.problems

    def __str__(self) -> str:
        happened = Counter(step.fault for step in self.plan.steps)
        faults = " ".join(f"{name}×{count}" if count > 1 else name for name, count in sorted(happened.items()))
        found = self.judged
        counts = f"committed {found.committed:,}, lost {found.lost}, twice {found.twice}, inversions {found.inversions}"
        verdict = "PASS" if self.passed else "FAIL"
        return f"seed {self.plan.seed}: {counts}, {self.repeats} repeats, {self.recovery:.1f} s [{faults}]: {verdict}"


async def run(plan: Plan, folder: Path) -> Result:
    """Raises only what is wrong with the run itself."""
    folder.mkdir(parents=True, exist_ok=True)
    async with relay_line(folder, partitions=PARTITIONS) as line:
        config = line.manifest(source={"table": {"columns": COLUMNS}})
        await install(line, config, plan.keys)
        group = f"shipping-{line.topic}"
        topic = Topic(line.servers, line.topic, group, PARTITIONS)
        consumers = [ConsumerProcess(folder, options_of(plan, line, group, n)) for n in range(plan.consumers)]
        try:
            relay = line.start(config=config)
            await asyncio.to_thread(relay.wait_ready, 60)
            committed = await _break_things(plan, line, config, consumers, topic)
            calm = time.monotonic()
            problems = await _recover(line, topic, consumers)
            recovery = time.monotonic() - calm
            rows = await line.database.fetch("SELECT event_id, key, number FROM effects ORDER BY n")
            found = judged(committed, [Effect(*row) for row in rows])
            size = await asyncio.to_thread(topic.size)
            return Result(plan, found, tuple(problems), size - len(committed), recovery)
        finally:
            for consumer in consumers:
                consumer.close()
            topic.close()


async def install(line: RelayLine, config: dict[str, Any], keys: int) -> None:
    """What `outboxrelay sql` prints, the keys, and the table of effects."""
    spec = parse_manifest(config).spec
    for part in ("schema", "table", "publish", "doorbell", "inbox"):
        await line.database.execute(script(part, spec, None).sql)
    await line.database.execute(EFFECTS)
    await line.database.execute("CREATE TABLE aggregate (key text PRIMARY KEY, number integer NOT NULL DEFAULT 0)")
    await line.database.execute(f"INSERT INTO aggregate (key) SELECT 'k' || i FROM generate_series(1, {keys}) AS i")


def options_of(plan: Plan, line: RelayLine, group: str, number: int) -> dict[str, Any]:
    """What a consumer process is told."""
    return {
        "uri": line.uri, "servers": line.servers, "topic": line.topic, "group": group, "member": f"consumer-{number}",
        "seed": plan.seed, "static": plan.static, "strategy": plan.strategy,
    }  # fmt: skip


async def _break_things(
    plan: Plan, line: RelayLine, config: dict[str, Any], consumers: list[ConsumerProcess], topic: Topic
) -> dict[str, tuple[str, int]]:
    committed: dict[str, tuple[str, int]] = {}
    ends = asyncio.Event()

    async def later(step: Step) -> None:
        await asyncio.sleep(step.at)
        await act(step, line, config, consumers, topic)

    async with asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(publish(plan, number, line, committed, ends))
        # Faults count from when events flow: how long processes take to start is no part of the run.
        async with asyncio.timeout(FLOWING_SECONDS):
            while not await line.database.fetchval("SELECT count(*) FROM effects"):
                await asyncio.sleep(0.05)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(CHAOS_SECONDS))
            for step in plan.steps:
                group.create_task(later(step), name=step.fault)
        ends.set()
    return committed


async def publish(
    plan: Plan, number: int, line: RelayLine, committed: dict[str, tuple[str, int]], ends: asyncio.Event
) -> None:
    """Transactions of one writer; some are rolled back. The aggregate's row is locked first."""
    draw = Random(f"{plan.seed} {number}")
    conn = await asyncpg.connect(line.uri)
    try:
        while not ends.is_set():
            key = f"k{draw.randint(1, plan.keys)}"
            try:
                async with conn.transaction():
                    counted = "UPDATE aggregate SET number = number + 1 WHERE key = $1 RETURNING number"
                    count = await conn.fetchval(counted, key)
                    payload = {"key": key, "number": count}
                    event = await outbox.publish(conn, "Changed", key, payload, headers={NUMBER: count})
                    if draw.random() < ROLLED_BACK:
                        raise RolledBack
            except RolledBack:
                continue
            committed[event] = (key, count)
            await asyncio.sleep(draw.expovariate(plan.rows_per_second / WRITERS))
    finally:
        await conn.close()


async def act(
    step: Step, line: RelayLine, config: dict[str, Any], consumers: list[ConsumerProcess], topic: Topic
) -> None:
    """Let the fault happen."""
    consumer = consumers[step.pick % len(consumers)]
    match step.fault:
        case "consumer_killed":
            await asyncio.to_thread(consumer.kill_and_restart)
        case "consumer_frozen":
            consumer.send(signal.SIGSTOP)
            await asyncio.sleep(step.seconds)
            consumer.send(signal.SIGCONT)
        case "consumer_restarted":
            await asyncio.to_thread(consumer.restart)
        case "relay_killed":
            relay = line.relays[-1]
            relay.process.kill()
            await asyncio.to_thread(relay.process.wait)
            line.start(config=config)
        case "sessions_ended":
            await line.database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inbox-consumer' "
                "AND datname = current_database()"
            )
        case "copies":
            await asyncio.to_thread(topic.copy, step.pick)


async def _recover(line: RelayLine, topic: Topic, consumers: list[ConsumerProcess]) -> list[str]:
    """Wait until the outbox is empty and the group has read the topic to its end."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    pending = unread = -1
    while time.monotonic() < deadline:
        if problems := [found for consumer in consumers if (found := consumer.problem())]:
            return problems
        pending = await line.pending()
        unread = await asyncio.to_thread(topic.unread) if not pending else -1
        if pending == unread == 0:
            return []
        await asyncio.sleep(0.1)
    return [f"after {RECOVERY_SECONDS:.0f} s {pending} rows are pending and {unread} messages are not read"]
