"""How often writers may ring, and how long an awake relay rests."""

import pytest

from outboxrelay.decisions.polling import BREATH_SECONDS, LONGEST_BREATH_SECONDS, breath_after
from outboxrelay.decisions.waking import MOST_RINGS, RINGS_PER_SECOND, Rings


def test_a_few_rings_at_once_are_no_burden_and_more_are() -> None:
    assert not Rings().add(int(MOST_RINGS), now=100.0).is_full
    assert Rings().add(int(MOST_RINGS) + 1, now=100.0).is_full


@pytest.mark.parametrize(("share", "full"), [(0.9, False), (1.2, True)])
def test_rings_are_a_burden_when_they_come_more_often_than_is_allowed_for_long(share: float, full: bool) -> None:
    rings, now = Rings(), 0.0
    for _ in range(1000):
        now += 1 / (RINGS_PER_SECOND * share)
        rings = rings.add(1, now)
    assert rings.is_full is full


def test_what_rang_long_ago_does_not_count() -> None:
    rings = Rings().add(100, now=1.0)
    assert rings.is_full
    assert not rings.add(1, now=1.0 + 100 / RINGS_PER_SECOND).is_full


@pytest.mark.parametrize(("seconds", "rest"), [(0.0, BREATH_SECONDS), (0.003, 0.0015), (0.3, LONGEST_BREATH_SECONDS)])
def test_rows_that_took_long_to_deliver_are_followed_by_a_longer_rest_within_bounds(
    seconds: float, rest: float
) -> None:
    assert breath_after(seconds) == rest
