"""What a relay says of its last ten seconds: rates, rest, reads at their limit, slow reads."""

import pytest

from outboxrelay.api.report import FlowState
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.rates import Rates
from tests.support.moved_clock import MovedClock


def test_rows_per_second_are_a_mean_of_ten_seconds() -> None:
    rates = Rates(0.0)
    for second in range(1, 31):
        rates.confirmed(float(second), 50)
    assert rates.rows_per_second(30.0) == pytest.approx(55, abs=5)
    assert rates.rows_per_second(60.0) == 0


def test_a_young_process_divides_by_its_own_age() -> None:
    rates = Rates(0.0)
    rates.confirmed(2.0, 100)
    assert rates.rows_per_second(2.0) == 50


def test_time_without_rest_is_busy_and_a_rest_that_goes_on_counts() -> None:
    rates = Rates(0.0)
    assert rates.busy_share(20.0, None) == 1.0
    rates.rested(10.0, 14.0)
    assert rates.busy_share(20.0, None) == pytest.approx(0.6)
    assert rates.busy_share(20.0, 18.0) == pytest.approx(0.4)
    assert rates.busy_share(40.0, None) == 1.0


def test_a_rest_that_began_before_the_window_counts_only_within_it() -> None:
    rates = Rates(0.0)
    rates.rested(5.0, 12.0)
    assert rates.busy_share(20.0, None) == pytest.approx(0.8)
    assert rates.busy_share(50.0, 20.0) == 0.0


def test_time_after_a_read_at_its_limit_counts_as_full_until_the_next_read() -> None:
    rates = Rates(0.0)
    rates.full(10.0, 15.0)
    assert rates.full_share(20.0, None) == pytest.approx(0.5)
    assert rates.full_share(20.0, 15.0) == 1.0


def test_the_95th_percentile_of_reads_is_not_moved_by_one_in_a_hundred() -> None:
    rates = Rates(0.0)
    assert rates.slow_read_seconds(1.0) is None
    for number in range(100):
        rates.read(1.0, 4.0 if number == 0 else 0.01)
    assert rates.slow_read_seconds(1.0) == 0.01
    for _ in range(10):
        rates.read(1.0, 4.0)
    assert rates.slow_read_seconds(1.0) == 4.0
    assert rates.slow_read_seconds(12.0) is None


def test_a_pump_that_reads_at_its_limit_without_rest_reports_both_and_how_slow_its_reads_are() -> None:
    clock = MovedClock()
    progress = Progress(Metrics(), clock)
    for _ in range(10):
        clock.move(1.0)
        progress.read(0.2, 100, 0, full=True)
        progress.begin(100)
        progress.end(100, 1000)
    delivery = progress.report("Closed", None, FlowState())
    assert delivery.busy_share == 1.0
    assert delivery.full_share == pytest.approx(0.9)
    assert delivery.read_p95_milliseconds == 200.0
    progress.interrupted()
    clock.move(20.0)
    assert progress.report("Closed", None, FlowState()).full_share == 0.0


def test_a_pump_that_waits_for_rows_is_not_busy() -> None:
    clock = MovedClock()
    progress = Progress(Metrics(), clock)
    clock.move(10.0)
    with progress.resting():
        clock.move(5.0)
        assert progress.report("Closed", None, FlowState()).busy_share == 0.5
    clock.move(5.0)
    assert progress.report("Closed", None, FlowState()).busy_share == 0.5
