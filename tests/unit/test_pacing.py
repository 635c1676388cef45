"""Numbers in status, and what is read again: often with few relays, seldom enough for the API server with many."""

import pytest

from outboxrelay.decisions.pacing import NUMBERS_PER_SECOND, SURVEYS_PER_SECOND, numbers_interval, survey_interval


@pytest.mark.parametrize(("relays", "seconds"), [(0, 15), (1, 15), (225, 15), (450, 30), (3000, 200)])
def test_numbers_are_written_as_often_as_asked_or_as_the_fleet_allows(relays: int, seconds: float) -> None:
    assert numbers_interval(15, relays) == seconds


def test_a_fleet_of_any_size_writes_no_more_than_the_budget() -> None:
    for relays in (1, 100, 500, 10_000):
        assert relays / numbers_interval(1, relays) <= NUMBERS_PER_SECOND


@pytest.mark.parametrize(("relays", "seconds"), [(0, 30), (200, 30), (500, 75), (2000, 300)])
def test_what_is_not_watched_is_read_again_every_half_minute_or_as_often_as_the_fleet_allows(
    relays: int, seconds: float
) -> None:
    assert survey_interval(relays) == pytest.approx(seconds)


def test_a_fleet_of_any_size_reads_no_more_than_the_budget() -> None:
    for relays in (1, 100, 500, 10_000):
        assert relays / survey_interval(relays) <= SURVEYS_PER_SECOND
