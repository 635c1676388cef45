"""Sharing, moving and losing shards; the orderly end."""

import asyncio

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault
from tests.support.fake_control import FakeLocks
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime

LOST = SourceFault(Reason.CONNECT_FAILED, "the connection was lost")


def pair() -> tuple[FakeRelay, FakeRelay]:
    source, locks = FakeSource(), FakeLocks()
    return FakeRelay(source, FakePublisher(), locks), FakeRelay(source, FakePublisher(), locks)


async def test_two_relays_share_the_shards_and_each_row_goes_through_one_of_them() -> None:
    one, other = pair()
    async with one.running(), other.running():
        await one.until(lambda: len(one.report.shards.owned) == len(other.report.shards.owned) == 2)
        one.source.insert(*(row(i, f"k{i % 9}") for i in range(1, 201)))
        await one.until(lambda: not one.source.rows)
        assert sorted(one.publisher.ids + other.publisher.ids) == list(range(1, 201))
        assert one.publisher.ids
        assert other.publisher.ids


async def test_a_shard_is_handed_over_only_when_what_is_in_flight_of_it_is_settled() -> None:
    one, other = pair()
    one.publisher.hanging = True
    one.source.insert(*(row(i, f"k{i}") for i in range(1, 9)))
    async with one.running():
        await one.until(lambda: len(one.publisher.batches) == 1)
        async with other.running():
            await one.until(lambda: len(one.report.shards.draining) == 2)
            await asyncio.sleep(5)
            assert other.report.shards.owned == []
            one.publisher.hanging = False
            one.publisher.abort()
            await one.until(lambda: len(other.report.shards.owned) == 2)
            await one.until(lambda: not one.source.rows)


async def test_a_relay_that_leaves_gives_its_shards_to_the_other() -> None:
    one, other = pair()
    async with one.running():
        async with other.running():
            await one.until(lambda: len(other.report.shards.owned) == 2)
        await one.until(lambda: len(one.report.shards.owned) == 4)
        assert one.report.shards.members == 1


async def test_a_lost_control_session_ends_ownership_at_once_and_all_starts_again_from_the_table() -> None:
    relay = FakeRelay()
    relay.publisher.hanging = True
    relay.source.insert(row(1))
    async with relay.running():
        await relay.until(lambda: len(relay.publisher.batches) == 1)
        relay.control.fault = LOST
        await relay.until(lambda: relay.report.source.healthy is False, seconds=3)
        assert relay.report.shards.owned == []
        assert not relay.report.ready
        relay.control.end()
        relay.publisher.hanging = False
        relay.control.fault = None
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == [1]


async def test_a_session_that_is_lost_now_and_then_is_made_anew_as_soon_as_the_first_time() -> None:
    relay = FakeRelay()
    async with relay.running():
        for _ in range(10):
            await relay.until(lambda: relay.report.ready)
            await asyncio.sleep(60)
            relay.control.end()
            await relay.until(lambda: not relay.report.ready, seconds=10)
            await relay.until(lambda: relay.report.ready, seconds=1)


async def test_nothing_is_read_while_the_last_heartbeat_is_too_old() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready and relay.process.ownership.owns_all)
        relay.control._delay = 4.9
        await asyncio.sleep(30)
        assert relay.process.ownership.owns_all
        relay.process.ownership.confirm(relay.clock.monotonic() - 11, 1)
        before = len(relay.source.reads)
        relay.source.insert(row(1))
        assert not relay.process.ownership.is_fresh(relay.clock.monotonic())
        await asyncio.sleep(0.5)
        assert len(relay.source.reads) <= before + 1
        relay.control._delay = 0.001
        await relay.until(lambda: not relay.source.rows)


async def test_a_stop_finishes_and_settles_what_is_in_flight_and_reads_no_more() -> None:
    relay = FakeRelay()
    relay.publisher._delay = 2.0
    relay.source.insert(*(row(i) for i in range(1, 101)))
    async with relay.running():
        await relay.until(lambda: len(relay.publisher.batches) == 1)
        reads = len(relay.source.reads)
        await relay.end()
        assert len(relay.source.reads) <= reads + 1
    assert sorted(relay.publisher.ids) == sorted(relay.source.settled)
    assert relay.publisher.ids
    assert relay.locks.holders == {}


async def test_liveness_fails_for_a_loop_that_is_silent_for_a_minute_but_not_for_waits() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        await asyncio.sleep(300)
        assert relay.process.beats.stuck() == []
        with relay.process.beats.watch("stuck loop"):
            await asyncio.sleep(61)
            assert relay.process.beats.stuck() == ["stuck loop"]
        assert relay.process.beats.stuck() == []


async def test_a_process_is_ready_only_after_both_sides_were_verified_once() -> None:
    relay = FakeRelay()
    relay.source.fault = LOST
    async with relay.running():
        await asyncio.sleep(5)
        assert relay.process.missing() == ["the table is not verified", "no member slot is held"]
        assert relay.report.state == "Starting"
        assert relay.report.target.healthy is True
        relay.source.fault = None
        await relay.until(lambda: relay.process.missing() == [])
