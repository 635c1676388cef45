"""How much one read asks for, and when the next one is due."""

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.batching import BYTE_BUDGET, FEW_ROWS, first_limit, may_be_fetched_alone, next_limit
from outboxrelay.decisions.polling import PollPolicy, pause_after

POLICY = PollPolicy(shortest=0.02, longest=1.0)


@given(limit=st.integers(1, 10_000), share=st.floats(0, 1), size=st.integers(0, 10_000_000))
def test_a_limit_stays_between_one_and_the_most(limit: int, share: float, size: int) -> None:
    rows = int(limit * share)
    assert 1 <= next_limit(limit, rows, rows * size, 10_000) <= 10_000


def test_full_batches_of_small_rows_double_the_limit_up_to_the_most() -> None:
    limit, limits = first_limit(5000), []
    for _ in range(8):
        limits.append(limit)
        limit = next_limit(limit, limit, limit * 300, 5000)
    assert limits == [100, 200, 400, 800, 1600, 3200, 5000, 5000]


def test_heavy_rows_shrink_the_next_batch_to_the_byte_budget() -> None:
    limit = next_limit(5000, 5000, 5000 * 100_000, 5000)
    assert limit * 100_000 <= BYTE_BUDGET < (limit + 1) * 100_000


def test_a_row_larger_than_the_budget_is_still_read_alone() -> None:
    assert next_limit(100, 1, BYTE_BUDGET * 3, 5000) == 1


def test_few_large_rows_follow_on_their_own_as_far_as_the_batch_stays_within_its_budget() -> None:
    assert may_be_fetched_alone(1, 5000 * 300 + 100_000)
    assert may_be_fetched_alone(FEW_ROWS, BYTE_BUDGET)
    assert not may_be_fetched_alone(FEW_ROWS + 1, BYTE_BUDGET)
    assert not may_be_fetched_alone(1, BYTE_BUDGET + 1)


def test_a_full_batch_is_followed_at_once_a_few_rows_soon_and_nothing_ever_later() -> None:
    assert pause_after(POLICY, 100, True, 1.0, 0.5) == 0
    assert pause_after(POLICY, 3, False, 1.0, 0.5) == 0.02
    pauses, pause = [], 0.02
    for _ in range(8):
        pause = pause_after(POLICY, 0, False, pause, 1.0)
        pauses.append(pause)
    assert pauses == [0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]


@given(st.floats(0, 60), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest(before: float, chance: float) -> None:
    assert POLICY.shortest <= pause_after(POLICY, 0, False, before, chance) <= POLICY.longest
