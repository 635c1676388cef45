"""Relay processes against the real servers, broken in every way while the oracle watches."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.oracle import Oracle
from tests.support.relay_line import RelayLine, judged, relay_line
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.needs_services


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found


def oracle_of(line: RelayLine, keys: int = 100) -> Oracle:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return Oracle(line.uri, line.servers, line.topic, seed=seed, keys=keys)


async def test_late_commits_rollbacks_and_bursts_arrive_in_order_and_leave_an_empty_table(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(PATIENCE * 120):
        await oracle.writer.create_table()
        relay = line.start()
        await asyncio.to_thread(relay.wait_ready)
        await oracle.writer.bulk(10_000)
        await oracle.writer.write(1_000, late_share=0.3, rollback_share=0.3, hold=0.05)
        await oracle.writer.late_commits(60)
        result = await judged(oracle, line)
    assert result.passed, result.report()
    assert result.duplicates == 0
    await line.emptied()
    assert await asyncio.to_thread(relay.stop) == 0


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_nothing_is_lost_or_inverted_when_one_of_three_relays_dies(
    line: RelayLine, fault: signal.Signals
) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(PATIENCE * 200):
        await oracle.writer.create_table()
        relays = [line.start() for _ in range(3)]
        for relay in relays:
            await asyncio.to_thread(relay.wait_ready)
        async with oracle.writer.writing(per_second=300, late_share=0.2, hold=0.05):
            await oracle.writer.bulk(30_000)
            relays[0].send(fault)
            await asyncio.to_thread(
                relays[1].wait, lambda report: report["shards"]["members"] == 2 and not report["shards"]["draining"], 40
            )
            if fault is signal.SIGSTOP:
                relays[0].send(signal.SIGCONT)
                await asyncio.to_thread(
                    relays[0].wait, lambda report: report["shards"]["members"] == 3 and report["ready"], 40
                )
            goal = 0.9
            assert await oracle.delivered(goal)
        result = await judged(oracle, line)
    assert result.passed, result.report()
    await line.emptied()


async def test_three_relays_share_fairly_and_take_over_from_one_that_leaves(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(PATIENCE * 120):
        await oracle.writer.create_table()
        relays = [line.start() for _ in range(3)]
        async with oracle.writer.writing(per_second=300):
            for relay in relays:
                await asyncio.to_thread(relay.wait, lambda report: len(report["shards"]["owned"]) in (5, 6), 30)
            reports = [relay.state() for relay in relays]
            owned = [set(report["shards"]["owned"]) for report in reports if report]
            assert set.union(*owned) == set(range(16))
            assert sum(map(len, owned)) == 16
            assert await asyncio.to_thread(relays[1].stop) == 0
            for relay in (relays[0], relays[2]):
                await asyncio.to_thread(relay.wait, lambda report: len(report["shards"]["owned"]) == 8, 30)
        result = await judged(oracle, line)
    assert result.passed, result.report()
    assert result.duplicates == 0


async def test_a_relay_goes_on_after_the_database_ended_its_sessions(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(PATIENCE * 120):
        await oracle.writer.create_table()
        relay = line.start()
        await asyncio.to_thread(relay.wait_ready)
        async with oracle.writer.writing(per_second=300):
            for kind in ("read", "settle", "control", ""):
                await line.database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name LIKE 'outboxrelay%' || $1",
                    kind,
                )
                before = len(oracle.consumer.ids)
                await asyncio.to_thread(oracle.consumer.wait_until, partial(_more_than, oracle, before + 100), 30)
        result = await judged(oracle, line)
    assert result.passed, result.report()


def _more_than(oracle: Oracle, count: int) -> bool:
    return len(oracle.consumer.ids) > count


def cluster(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.cluster", *arguments], check=True, timeout=120)


async def test_a_broker_that_freezes_opens_the_circuit_and_nothing_is_lost(line: RelayLine) -> None:
    async with oracle_of(line) as oracle, asyncio.timeout(PATIENCE * 200):
        await oracle.writer.create_table()
        config = line.manifest()
        config["spec"]["target"]["deliveryTimeoutSeconds"] = 2
        relay = line.start(config=config)
        await asyncio.to_thread(relay.wait_ready)
        async with oracle.writer.writing(per_second=200):
            assert await oracle.delivered(0.1)
            await asyncio.to_thread(cluster, "kafka", "freeze")
            try:
                report = await asyncio.to_thread(relay.wait, lambda report: report["delivery"]["circuit"] == "Open", 30)
            finally:
                await asyncio.to_thread(cluster, "kafka", "thaw")
            assert report["target"]["healthy"] is False
            assert report["target"]["reason"] == "BrokerUnavailable"
            assert report["ready"] is True
            await asyncio.to_thread(relay.wait, lambda report: report["target"]["healthy"], 60)
        result = await judged(oracle, line)
    assert result.passed, result.report()
    await line.emptied()
