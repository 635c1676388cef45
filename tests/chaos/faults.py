"""What each fault does to a stage. Whatever it breaks it mends before it returns."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from tests.cluster import paths
from tests.support.oracle.session import UNAVAILABLE

from .plan import MEMBERS_AT_MOST
from .stage import POISON_BYTES
from .wire import Trouble, Way

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .host import Host
    from .plan import Step
    from .stage import Stage

PEERS = (None, paths.POSTGRES_IP, paths.KAFKA_IP)
WAYS: tuple[Way, ...] = ("both", "out", "in")


async def act(stage: Stage, step: Step) -> None:
    """Do what ``step`` says, from its beginning to its end."""
    await ACTS[step.fault](stage, step)


async def _relay_killed(stage: Stage, step: Step) -> None:
    host = _host(stage, step)
    async with host.lock:
        await host.kill()
        await asyncio.sleep(step.seconds)
        if host in stage.hosts:
            await host.start()


async def _relay_frozen(stage: Stage, step: Step) -> None:
    host = _host(stage, step)
    async with host.lock:
        host.send(signal.SIGSTOP)
        await asyncio.sleep(step.seconds)
        host.send(signal.SIGCONT)


async def _relay_joins(stage: Stage, _: Step) -> None:
    if len(stage.hosts) < MEMBERS_AT_MOST:
        await stage.join()


async def _relay_leaves(stage: Stage, step: Step) -> None:
    host = _host(stage, step)
    async with host.lock:
        if len(stage.hosts) > 1 and host in stage.hosts:
            await stage.leave(host)


async def _broker_restarted(stage: Stage, _: Step) -> None:
    async with stage.brokers:
        await asyncio.to_thread(stage.broker.restart)


async def _broker_killed(stage: Stage, step: Step) -> None:
    async with stage.brokers:
        await asyncio.to_thread(stage.broker.kill)
        await asyncio.sleep(step.seconds)
        await asyncio.to_thread(stage.broker.start)


async def _broker_frozen(stage: Stage, step: Step) -> None:
    async with stage.brokers:
        await asyncio.to_thread(stage.broker.freeze)
        await asyncio.sleep(step.seconds)
        await asyncio.to_thread(stage.broker.thaw)


async def _sessions_ended(stage: Stage, step: Step) -> None:
    kind = ("%", "%read", "%settle", "%control")[step.pick % 4]
    query = f"""SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = '{stage.name}' AND application_name LIKE 'outboxrelay{kind}'"""
    async with stage.database:
        await asyncio.to_thread(stage.pair.primary.sql, query)


async def _postgres_restarted(stage: Stage, _: Step) -> None:
    async with stage.database:
        await asyncio.to_thread(stage.pair.primary.stop)
        await asyncio.to_thread(stage.pair.primary.start)


async def _postgres_crashed(stage: Stage, step: Step) -> None:
    async with stage.database:
        await asyncio.to_thread(stage.pair.primary.kill)
        await asyncio.sleep(step.seconds)
        await asyncio.to_thread(stage.pair.primary.start)


async def _postgres_frozen(stage: Stage, step: Step) -> None:
    async with stage.database:
        await asyncio.to_thread(stage.pair.primary.freeze)
        await asyncio.sleep(step.seconds)
        await asyncio.to_thread(stage.pair.primary.thaw)


async def _standby_promoted(stage: Stage, step: Step) -> None:
    async with stage.database:
        await asyncio.to_thread(stage.pair.agree)
        if step.pick % 2:
            # It hangs before it is fenced: sessions stay open, and nobody is told.
            await asyncio.to_thread(stage.pair.primary.freeze)
        else:
            await asyncio.to_thread(stage.pair.primary.kill)
        await asyncio.sleep(step.seconds)
        await asyncio.to_thread(stage.pair.fail_over)
        await asyncio.to_thread(stage.pair.join)


async def _network_cut(stage: Stage, step: Step) -> None:
    await _troubled(stage, step, Trouble(PEERS[step.pick % 3], WAYS[step.pick // 3 % 3], loss=1.0))


async def _network_slow(stage: Stage, step: Step) -> None:
    delay = (0.01, 0.05, 0.2)[step.pick % 3]
    loss = (0.0, 0.02, 0.1)[step.pick // 3 % 3]
    await _troubled(stage, step, Trouble(delay=delay, jitter=delay, loss=loss))


async def _troubled(stage: Stage, step: Step, trouble: Trouble) -> None:
    host = _host(stage, step)
    host.add(trouble)
    await asyncio.sleep(step.seconds)
    host.remove(trouble)


async def _poison_rows(stage: Stage, step: Step) -> None:
    writer = stage.oracle.writer
    for number in range(1 + step.pick % 3):
        key = writer.keys[(step.pick + 7 * number) % len(writer.keys)]
        try:
            events = await writer.transaction([key], filler="x" * POISON_BYTES)
        except UNAVAILABLE:
            continue
        stage.poison.update(event.event_id for event in events)


async def _late_commits(stage: Stage, _: Step) -> None:
    try:
        await stage.oracle.writer.late_commits(20)
    except* UNAVAILABLE:
        pass


async def _burst(stage: Stage, _: Step) -> None:
    try:
        await stage.oracle.writer.bulk(2_000)
    except UNAVAILABLE:
        return


def _host(stage: Stage, step: Step) -> Host:
    return stage.hosts[step.pick % len(stage.hosts)]


ACTS: dict[str, Callable[[Stage, Step], Awaitable[None]]] = {
    "relay_killed": _relay_killed,
    "relay_frozen": _relay_frozen,
    "relay_joins": _relay_joins,
    "relay_leaves": _relay_leaves,
    "broker_restarted": _broker_restarted,
    "broker_killed": _broker_killed,
    "broker_frozen": _broker_frozen,
    "sessions_ended": _sessions_ended,
    "postgres_restarted": _postgres_restarted,
    "postgres_crashed": _postgres_crashed,
    "postgres_frozen": _postgres_frozen,
    "standby_promoted": _standby_promoted,
    "network_cut": _network_cut,
    "network_slow": _network_slow,
    "poison_rows": _poison_rows,
    "late_commits": _late_commits,
    "burst": _burst,
}
