"""How the benchmarks judge a relay that comes back after an outage."""

import pytest

from tests.benchmarks.recovery import Sample, lines, normal_after, ramp_percent


def sample(at: float, rows: int = 0, *, state: str = "Free", allowed: float | None = None, lag: float = 0.0) -> Sample:
    return Sample(at, rows, state, allowed, "", 80.0, lag)


def test_the_last_late_row_counts_and_not_the_first_moment_without_one() -> None:
    lags = [60.0, 0.2, 0.1, 5.0, 0.9, 0.1, 0.1]
    assert normal_after([sample(n, lag=lag) for n, lag in enumerate(lags)]) == 4


def test_too_few_samples_without_a_late_row_say_nothing() -> None:
    assert normal_after([sample(n, lag=lag) for n, lag in enumerate([60.0, 0.1, 0.1])]) is None
    assert normal_after([]) is None


def test_a_relay_that_was_never_late_is_normal_from_the_first_sample() -> None:
    assert normal_after([sample(n) for n in (1.5, 2.5, 3.5)]) == 1.5


def test_deliveries_of_a_ramp_are_held_against_the_area_under_it() -> None:
    delivered = [0, 150, 400, 750]
    ramp = [sample(n, rows, state="Ramping", allowed=100.0 + 100 * n, lag=9.0) for n, rows in enumerate(delivered)]
    assert ramp_percent([*ramp, sample(4, 90_000)]) == pytest.approx(100)
    caught_up = [sample(n, 751, state="Ramping", allowed=900.0, lag=0.1) for n in (4, 5, 6)]
    assert ramp_percent([*ramp, *caught_up]) == pytest.approx(100), "there is no more to deliver"
    twice = [one._replace(rows=2 * one.rows) for one in ramp]
    assert ramp_percent(twice) == pytest.approx(200)


def test_without_a_ramp_there_is_nothing_to_exceed() -> None:
    assert ramp_percent([sample(0), sample(1, 9000)]) == 0


def test_the_table_is_in_pieces_and_ends_with_the_last_sample() -> None:
    found = lines([sample(n, 100 * n, state="Ramping", allowed=1234.0, lag=12.34) for n in range(8)])
    assert [line.split()[0] for line in found] == ["after", "5", "7"]
    assert found[1].split() == ["5", "s", "100/s", "1,234/s", "12.3", "s", "Ramping"]
    assert len(lines([])) == 1
