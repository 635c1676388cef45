"""How the pump rests: polling without a doorbell, waiting for it with one; in virtual time."""

import asyncio

import pytest

from tests.support.fake_doorbell import FakeDoorbell
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import row

pytestmark = pytest.mark.looptime


async def test_a_bell_wakes_a_sleeping_relay_at_once() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.doorbell.asleep_until is not None)
        await asyncio.sleep(5)
        relay.source.insert(row(1))
        relay.doorbell.ring()
        before = asyncio.get_running_loop().time()
        while not relay.publisher.arrived:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - before < 0.02


async def test_a_bell_that_is_never_heard_costs_one_poll_and_no_row() -> None:
    relay = FakeRelay()
    async with relay.running():
        await asyncio.sleep(5)
        relay.source.insert(row(1))
        await relay.until(lambda: bool(relay.publisher.arrived), seconds=1.2)


async def test_after_it_said_that_it_sleeps_the_relay_reads_once_more() -> None:
    relay = FakeRelay()

    def asleep_and_unread() -> bool:
        return relay.doorbell.asleep_until is not None

    async with relay.running():
        await relay.until(asleep_and_unread)
        reads = len(relay.source.reads)
        await asyncio.sleep(0.1)
        assert len(relay.source.reads) > reads - 1
        assert relay.doorbell.writes >= 1


async def test_an_idle_relay_with_a_doorbell_asks_the_database_little() -> None:
    relay = FakeRelay()
    async with relay.running():
        await asyncio.sleep(20)
        reads, writes = len(relay.source.reads), relay.doorbell.writes
        await asyncio.sleep(60)
        assert len(relay.source.reads) - reads <= 70
        assert relay.doorbell.writes - writes <= 61


async def test_a_busy_relay_asks_nobody_to_ring() -> None:
    relay = FakeRelay(batch=10)
    async with relay.running():
        await relay.until(lambda: relay.doorbell.asleep_until is not None)
        for number in range(400):
            relay.source.insert(row(number + 1))
            relay.doorbell.ring()
            await asyncio.sleep(0.002)
        assert relay.doorbell.asleep_until is None
        await relay.until(lambda: not relay.source.rows)


async def test_without_a_doorbell_the_table_is_polled_ever_more_rarely_and_it_is_said() -> None:
    relay = FakeRelay()
    relay.doorbell = FakeDoorbell("no doorbell hangs here")
    async with relay.running():
        await asyncio.sleep(10)
        reads = len(relay.source.reads)
        await asyncio.sleep(60)
        assert 55 <= len(relay.source.reads) - reads <= 70
        assert "no doorbell hangs here" in relay.report.limitations
