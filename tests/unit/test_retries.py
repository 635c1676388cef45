"""Waits before the next try."""

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.retries import BackoffPolicy, backoff, ceiling

POLICY = BackoffPolicy(initial=0.2, maximum=15, multiplier=2)


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_wait_is_never_zero_and_never_longer_than_the_maximum(failures: int, chance: float) -> None:
    assert 0.1 <= backoff(POLICY, failures, chance) <= 15


def test_the_longest_wait_doubles_until_the_maximum() -> None:
    assert [ceiling(POLICY, failures) for failures in (0, 1, 2, 3, 7, 8, 900)] == [0, 0.2, 0.4, 0.8, 12.8, 15, 15]


def test_chance_spreads_over_the_whole_range() -> None:
    assert backoff(POLICY, 8, 0.0) == 0.1
    assert backoff(POLICY, 8, 1.0) == 15
