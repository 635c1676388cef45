"""Numbers in status: often where there are few relays, seldom enough for the API server where there are many."""

import pytest

from outboxrelay.decisions.pacing import NUMBERS_PER_SECOND, numbers_interval


@pytest.mark.parametrize(("relays", "seconds"), [(0, 15), (1, 15), (225, 15), (450, 30), (3000, 200)])
def test_numbers_are_written_as_often_as_asked_or_as_the_fleet_allows(relays: int, seconds: float) -> None:
    assert numbers_interval(15, relays) == seconds


def test_a_fleet_of_any_size_writes_no_more_than_the_budget() -> None:
    for relays in (1, 100, 500, 10_000):
        assert relays / numbers_interval(1, relays) <= NUMBERS_PER_SECOND
