"""How fast the relay goes: limits, a ramp after an outage, half speed under strain; in virtual time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.api.policy import Flow as Limits
from outboxrelay.decisions.flow import (
    HALVE_EVERY_SECONDS,
    LEARNING_BATCHES,
    SLICE_SECONDS,
    Pace,
    Ramp,
    after_batch,
    allowed,
    bucket,
    filled,
    outage,
    resumed,
    strain,
    taken,
    wait_of,
)
from outboxrelay.errors import TargetFault
from outboxrelay.relay.flow import Flow
from tests.support.fake_clock import FakeClock
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import row

RAMP = Ramp(start_share=0.25, seconds=40)


def busy(pace: Pace, batches: int, seconds: float, now: float = 0.0, rows: int = 100) -> Pace:
    """``batches`` of ``rows`` confirmed in ``seconds`` each."""
    for number in range(batches):
        pace = after_batch(pace, rows, seconds, now + number * seconds)
    return pace


@given(
    rate=st.floats(0.5, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1e5)), min_size=1, max_size=40),
)
def test_a_bucket_never_gives_more_than_its_rate_and_what_it_holds(
    rate: float, steps: list[tuple[float, float]]
) -> None:
    now = given_out = 0.0
    item = bucket(rate, now)
    largest = 0.0
    for pause, amount in steps:
        now += pause
        item = filled(item, now)
        if wait_of(item, amount) == 0:
            item, given_out, largest = taken(item, amount), given_out + amount, max(largest, amount)
    assert given_out <= rate * now + item.size + largest + 1e-6 * given_out


def test_a_piece_that_is_larger_than_the_bucket_goes_when_it_is_full_and_is_paid_for_afterwards() -> None:
    item = taken(bucket(100, 0.0), 500)
    assert wait_of(filled(item, 0.0), 1) == pytest.approx((500 - 100 * SLICE_SECONDS + 1) / 100)
    assert wait_of(bucket(100, 0.0), 500) == 0


def test_after_an_outage_the_rate_begins_low_and_grows_to_what_it_was() -> None:
    pace = resumed(outage(busy(Pace(), 50, 0.1)), 100.0)
    rates = [allowed(pace, RAMP, 100.0 + after).rate for after in (0, 10, 20, 39)]
    assert rates == pytest.approx([250, 437.5, 625, 981.25])
    assert allowed(pace, RAMP, 140.0).state == "Free"


def test_nothing_ramps_that_never_was_fast_or_where_it_is_not_asked_for() -> None:
    assert allowed(resumed(outage(Pace()), 1.0), RAMP, 1.0).rate is None
    pace = resumed(outage(busy(Pace(), 50, 0.1)), 1.0)
    assert allowed(pace, Ramp(1.0, 40), 1.0).rate is None
    assert allowed(pace, Ramp(0.25, 0), 1.0).rate is None


def test_acknowledgements_that_take_much_longer_than_usual_halve_the_rate_again_and_again() -> None:
    pace = busy(Pace(), LEARNING_BATCHES + 10, 0.1)
    pace = busy(pace, 3, 2.0, now=100)
    first = allowed(pace, RAMP, 110).rate or 0
    pace = busy(pace, 5, 2.0, now=110)
    second = allowed(pace, RAMP, 120).rate or 0
    assert first <= (pace.good or 0)
    assert second < first
    assert second >= (pace.good or 0) * 0.01


def test_acknowledgements_that_are_fast_all_the_same_are_no_strain() -> None:
    pace = busy(Pace(), LEARNING_BATCHES + 10, 0.002)
    assert busy(pace, 20, 0.05, now=50).halved is None


def test_a_halved_rate_grows_back_and_is_free_again() -> None:
    pace = strain(busy(Pace(), 50, 0.1), 10.0, "throttled")
    assert allowed(pace, RAMP, 10.0).state == "Halved"
    for second in range(1, 20):
        pace = after_batch(pace, 50, 0.1, 10.0 + second)
    assert allowed(pace, RAMP, 30.0).state == "Free"


def test_the_rate_is_halved_once_for_one_burst_of_throttling() -> None:
    pace = busy(Pace(), 50, 0.1)
    for tenth in range(int(HALVE_EVERY_SECONDS * 10) - 1):
        pace = strain(pace, 10.0 + tenth / 10, "throttled")
    assert pace.halved == pytest.approx((pace.good or 0) / 2)


@pytest.mark.looptime
async def test_a_limit_in_rows_holds_over_time_and_goes_out_in_small_pieces() -> None:
    relay = FakeRelay(flow={"maxRowsPerSecond": 50}, batch=1000)
    relay.source.insert(*(row(i, f"k{i % 7}") for i in range(1, 1001)))
    async with relay.running():
        started = asyncio.get_running_loop().time()
        await relay.until(lambda: not relay.source.rows)
        took = asyncio.get_running_loop().time() - started
    assert 18 <= took <= 24
    assert max(len(batch) for batch in relay.publisher.batches) <= 50 * SLICE_SECONDS


@pytest.mark.looptime
async def test_a_limit_in_bytes_holds_over_time() -> None:
    relay = FakeRelay(flow={"maxBytesPerSecond": 2048}, batch=1000)
    relay.source.insert(*(row(i, "k", "x" * 100) for i in range(1, 401)))
    async with relay.running():
        started = asyncio.get_running_loop().time()
        await relay.until(lambda: not relay.source.rows)
        took = asyncio.get_running_loop().time() - started
    assert 15 <= took <= 25


@pytest.mark.looptime
async def test_a_stop_does_not_wait_for_tokens() -> None:
    flow = Flow(Limits(max_rows_per_second=1), FakeClock())
    stop = asyncio.Event()
    assert await flow.admit(1000, 1000, stop, lambda: None)
    waiting = asyncio.create_task(flow.admit(1, 1, stop, lambda: None))
    await asyncio.sleep(1)
    assert not waiting.done()
    stop.set()
    assert await waiting is False


@pytest.mark.looptime
async def test_a_backlog_after_an_outage_does_not_arrive_all_at_once() -> None:
    relay = FakeRelay(flow={"recoveryStartPercent": 10, "recoveryRampSeconds": 60}, batch=100)
    relay.source.insert(*(row(i, f"k{i % 5}") for i in range(1, 20_001)))
    async with relay.running():
        await relay.until(lambda: len(relay.publisher.arrived) > 3000)
        relay.publisher.down = TargetFault(Reason.BROKER_UNAVAILABLE, "gone")
        await asyncio.sleep(30)
        relay.publisher.down = None
        await relay.until(lambda: relay.report.delivery.circuit == "Closed")
        before = len(relay.publisher.arrived)
        await asyncio.sleep(1)
        first_second = len(relay.publisher.arrived) - before
        assert relay.report.delivery.flow.state == "Ramping"
        await asyncio.sleep(4)
        fifth = (len(relay.publisher.arrived) - before) / 5
        await relay.until(lambda: not relay.source.rows, seconds=600)
    assert 0 < first_second < fifth * 1.2
