"""How fast the relay goes: limits, a ramp after an outage, half speed under strain; in virtual time."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.api.policy import Flow as Limits
from outboxrelay.decisions.flow import (
    HALVE_EVERY_SECONDS,
    SLICE_SECONDS,
    Pace,
    Ramp,
    after_batch,
    allowed,
    bucket,
    filled,
    going,
    outage,
    strain,
    taken,
    wait_of,
)
from outboxrelay.decisions.strain import (
    LEARNING_BATCHES,
    RECENT_BATCHES,
    WARM_UP_SECONDS,
    Latency,
    noticed,
    observed,
    reconnected,
    signs,
)
from outboxrelay.errors import TargetFault
from outboxrelay.relay.flow import PATIENCE_SECONDS, Flow
from tests.support.fake_clock import FakeClock
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import row

RAMP = Ramp(start_share=0.25, seconds=40)


def busy(pace: Pace, batches: int, seconds: float, now: float = 0.0, rows: int = 1000) -> Pace:
    """``batches`` of ``rows`` confirmed in ``seconds`` each, one right after the other from ``now``."""
    for number in range(batches):
        pace = after_batch(pace, rows, seconds, now + (number + 1) * seconds)
    return pace


def learned(seconds: float, rows: int = 100, size: int = 10_000) -> Latency:
    """What batches usually take, long after the first one."""
    latency = observed(Latency(), rows, size, seconds, 0.0)
    for number in range(LEARNING_BATCHES + RECENT_BATCHES):
        latency = observed(latency, rows, size, seconds, WARM_UP_SECONDS + number * seconds)
    return latency


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


def test_nobody_waits_for_less_than_a_clock_can_tell() -> None:
    # Taken at one row a second, and filled at a million of them: what rounding leaves is a wait without end.
    item = filled(taken(bucket(1, 0.0), 1), 30.566905, 1e6)
    nearly = replace(item, level=item.size - 2e-9 * item.size)
    assert nearly.level < item.size
    assert wait_of(nearly, 3) == 0
    assert wait_of(replace(item, level=0.0), 1) > 0


@given(rates=st.lists(st.floats(0.5, 1e6), min_size=1, max_size=40), amounts=st.lists(st.floats(1, 1e5), min_size=40))
def test_whoever_waits_as_long_as_is_said_may_go_then_whatever_became_of_the_rate_before(
    rates: list[float], amounts: list[float]
) -> None:
    now = 0.0
    item = bucket(rates[0], now)
    for rate, amount in zip(rates, amounts, strict=False):
        item = filled(item, now, rate)
        now += wait_of(item, amount)
        item = filled(item, now)
        assert wait_of(item, amount) * rate <= 1e-6 * item.size + 1e-9 * now * rate
        item = taken(item, amount)


def test_after_an_outage_the_rate_begins_low_and_grows_to_what_it_was() -> None:
    pace = going(outage(busy(Pace(), 50, 1.0)), RAMP, 100.0)
    rates = [allowed(pace, RAMP, 100.0 + after).rate for after in (0, 10, 20, 39)]
    assert rates == pytest.approx([250, 437.5, 625, 981.25])
    assert allowed(pace, RAMP, 140.0).state == "Free"
    assert going(pace, RAMP, 140.0).ramp_since is None


def test_an_outage_within_a_ramp_begins_the_ramp_anew() -> None:
    pace = going(outage(busy(Pace(), 50, 1.0)), RAMP, 100.0)
    again = going(outage(pace), RAMP, 130.0)
    assert allowed(again, RAMP, 130.0).rate == pytest.approx(250)


def test_a_ramp_leads_to_the_limit_where_that_is_lower_than_what_the_brokers_take() -> None:
    pace = going(outage(busy(Pace(), 50, 1.0)), RAMP, 100.0)
    assert allowed(pace, RAMP, 100.0, limit=100.0).rate == pytest.approx(25)
    assert allowed(pace, RAMP, 141.0, limit=100.0) == allowed(Pace(), RAMP, 0.0, limit=100.0)


def test_nothing_ramps_that_never_was_fast_or_where_it_is_not_asked_for() -> None:
    assert allowed(going(outage(Pace()), RAMP, 1.0), RAMP, 1.0).rate is None
    for ramp in (Ramp(1.0, 40), Ramp(0.25, 0)):
        assert allowed(going(outage(busy(Pace(), 50, 1.0)), ramp, 1.0), ramp, 1.0).rate is None


def test_small_batches_say_little_of_how_fast_the_relay_can_go() -> None:
    pace = busy(Pace(), 50, 0.1)
    quiet = busy(pace, 20, 0.01, now=10, rows=1)
    assert (quiet.good or 0) > 0.95 * (pace.good or 0)


def test_the_good_rate_falls_again_once_a_ramp_is_over() -> None:
    pace = going(going(outage(busy(Pace(), 50, 0.1)), RAMP, 100.0), RAMP, 150.0)
    assert busy(pace, 50, 1.0, now=150).good == pytest.approx(1000, rel=0.01)


def test_acknowledgements_that_take_much_longer_than_usual_are_strain() -> None:
    latency = learned(0.1)
    for number in range(3):
        assert not signs(latency, 20.0)
        latency = observed(latency, 100, 10_000, 2.0, 20.0 + 2 * number)
    assert "acknowledgements take 2000 ms" in signs(latency, 24.0)
    assert not signs(noticed(latency), 24.0)


def test_one_slow_batch_or_one_of_another_size_is_no_strain() -> None:
    latency = observed(learned(0.002, rows=5), 5, 500, 3.0, 20.0)
    assert not signs(latency, 20.0)
    for number in range(LEARNING_BATCHES * 2):
        latency = observed(latency, 5000, 5_000_000, 0.5, 21.0 + number)
    assert not signs(latency, 61.0)


def test_acknowledgements_that_are_fast_all_the_same_are_no_strain() -> None:
    latency = learned(0.002)
    for number in range(20):
        latency = observed(latency, 100, 10_000, 0.05, 20.0 + number)
    assert not signs(latency, 40.0)


def test_the_first_second_of_a_producer_says_nothing() -> None:
    latency = reconnected(learned(0.01))
    for number in range(RECENT_BATCHES):
        latency = observed(latency, 100, 10_000, 0.9, 20.0 + number / 10)
    assert not signs(latency, 20.5)
    assert latency.usual == learned(0.01).usual


def test_brokers_that_stay_slow_are_not_under_strain_for_ever() -> None:
    latency, now = learned(0.01), 20.0
    while now < 200:
        now += 0.5
        latency = observed(latency, 100, 10_000, 0.5, now)
    assert not signs(latency, now)


def test_strain_halves_what_went_out_and_not_what_could_have() -> None:
    pace = Pace()
    for number in range(200):
        pace = after_batch(pace, 10, 0.001, number / 10)
    found = allowed(strain(pace, 20.0, "throttled", None), RAMP, 20.0)
    assert found.state == "Halved"
    assert found.rate == pytest.approx(50, rel=0.1)


def test_strain_that_lasts_halves_again_and_again_but_leaves_a_trickle() -> None:
    pace, now = busy(Pace(), 50, 1.0), 50.0
    rates: list[float] = []
    for _ in range(30):
        pace = strain(pace, now, "throttled", allowed(pace, RAMP, now).rate)
        rates.append(allowed(pace, RAMP, now).rate or 0)
        now += HALVE_EVERY_SECONDS
    assert rates[:2] == pytest.approx([500, 350], rel=0.05)
    assert min(rates) >= 10


def test_a_halved_rate_grows_back_by_a_tenth_in_a_second_and_is_free_again_even_when_nothing_is_sent() -> None:
    pace = strain(busy(Pace(), 50, 1.0), 50.0, "throttled", None)
    rates = [allowed(pace, RAMP, 50.0 + after).rate or 0 for after in (0, 1, 2)]
    assert rates[1] - rates[0] == pytest.approx(rates[0] * 0.2)
    assert rates[2] - rates[1] == pytest.approx(rates[0] * 0.2)
    assert allowed(pace, RAMP, 56.0).state == "Free"
    assert going(pace, RAMP, 56.0).halved is None


def test_the_rate_is_halved_once_for_one_burst_of_throttling() -> None:
    pace = strain(busy(Pace(), 50, 1.0), 50.0, "throttled", None)
    for tenth in range(1, int(HALVE_EVERY_SECONDS * 10)):
        assert strain(pace, 50.0 + tenth / 10, "throttled", None) == pace


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
    assert await flow.admit(1, 1, stop, lambda: None)
    waiting = asyncio.create_task(flow.admit(1, 1, stop, lambda: None))
    await asyncio.sleep(0.5)
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


@pytest.mark.looptime
async def test_a_batch_that_would_wait_for_long_goes_back_to_the_table_and_the_wait_beats() -> None:
    flow, beats = Flow(Limits(max_rows_per_second=1), FakeClock()), list[float]()
    loop = asyncio.get_running_loop()
    assert await flow.admit(1000, 1000, asyncio.Event(), lambda: None)
    begun = loop.time()
    assert not await flow.admit(1, 1, asyncio.Event(), lambda: beats.append(loop.time()))
    assert loop.time() - begun == pytest.approx(PATIENCE_SECONDS)
    assert max(after - before for before, after in pairwise([begun, *beats])) <= 1


@pytest.mark.looptime
async def test_a_limit_that_is_far_below_one_row_of_its_size_still_lets_every_row_through() -> None:
    relay = FakeRelay(flow={"maxBytesPerSecond": 1024}, batch=100)
    relay.source.insert(*(row(i, "k", "x" * 20_000) for i in range(1, 6)))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows, seconds=200)
    assert relay.publisher.ids == [1, 2, 3, 4, 5]


@pytest.mark.looptime
async def test_throttling_shows_in_the_report_and_passes() -> None:
    flow = Flow(Limits(), FakeClock())
    for _ in range(100):
        await asyncio.sleep(0.1)
        assert await flow.admit(100, 10_000, asyncio.Event(), lambda: None)
        flow.confirmed(100, 10_000, 0.01)
    assert (flow.report().state, flow.most_rows()) == ("Free", None)
    flow.throttled(250)
    report = flow.report()
    assert (report.state, report.reason) == ("Halved", "the brokers throttled by 250 ms")
    assert report.rows_per_second == pytest.approx(500, rel=0.1)
    assert flow.most_rows() == int((report.rows_per_second or 0) * SLICE_SECONDS)
    await asyncio.sleep(10)
    assert flow.report().state == "Free"
