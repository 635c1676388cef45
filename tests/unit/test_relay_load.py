"""What a relay on fakes, in virtual time, says of its own load: what the number of pods is decided from."""

import asyncio

import pytest

from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime


async def test_a_relay_with_more_to_do_than_it_can_is_busy_and_reads_at_its_limit() -> None:
    relay = FakeRelay(publisher=FakePublisher(delay=0.5))
    relay.source.insert(*(row(i, f"k{i % 7}") for i in range(1, 2001)))
    async with relay.running():
        await asyncio.sleep(20)
        delivery = relay.report.delivery
        assert delivery.full_share is not None
        assert delivery.full_share > 0.95
        assert delivery.busy_share > 0.95
        assert delivery.rows_per_second / delivery.busy_share == pytest.approx(20, rel=0.1)


async def test_slow_reads_of_a_backlog_are_seen_as_load_too() -> None:
    relay = FakeRelay(source=FakeSource(delay=0.5))
    relay.source.insert(*(row(i) for i in range(1, 2001)))
    async with relay.running():
        await asyncio.sleep(20)
        delivery = relay.report.delivery
        assert delivery.full_share is not None
        assert delivery.full_share > 0.95
        assert delivery.read_p95_milliseconds == pytest.approx(500, rel=0.05)


async def test_a_relay_without_rows_rests_and_reads_nothing_at_its_limit() -> None:
    relay = FakeRelay()
    async with relay.running():
        await asyncio.sleep(60)
        delivery = relay.report.delivery
        assert delivery.busy_share < 0.05
        assert delivery.full_share == 0.0


async def test_a_trickle_is_never_taken_for_as_much_as_a_relay_can_do() -> None:
    relay = FakeRelay()
    async with relay.running():
        for number in range(1, 400):
            relay.source.insert(row(number))
            await asyncio.sleep(0.05)
        assert relay.report.delivery.full_share == pytest.approx(0.0, abs=0.01)
        assert relay.report.delivery.rows_per_second == pytest.approx(20, rel=0.1)


async def test_a_relay_that_is_paused_rests() -> None:
    relay = FakeRelay(state="Paused")
    relay.source.insert(*(row(i) for i in range(1, 101)))
    async with relay.running():
        await asyncio.sleep(60)
        assert relay.report.delivery.full_share == 0.0
