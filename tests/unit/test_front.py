"""The front: what was read, and what may still appear below it."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from outboxrelay.decisions.front import MOST_GAPS, Front, first_front, next_front


def test_the_first_read_leaves_a_gap_below_its_first_row_and_between_its_rows() -> None:
    assert first_front([5, 6, 9], 1) == Front(9, ((1, 4), (7, 8)))
    assert first_front([5, 6, 7], 5) == Front(7, ())


def test_what_is_on_its_way_was_read() -> None:
    assert first_front([7, 8, 5, 6], 5) == Front(8, ())


def test_nothing_read_gives_no_front() -> None:
    assert first_front([], 1) is None


def test_a_row_in_a_gap_parts_it() -> None:
    assert next_front(Front(9, ((1, 4),)), [2, 10], 1) == Front(10, ((1, 1), (3, 4)))
    assert next_front(Front(9, ((1, 1), (3, 3))), [1, 3], 1) == Front(9, ())


def test_ids_that_are_left_out_behind_the_front_are_gaps() -> None:
    assert next_front(Front(9, ()), [12, 13, 15], 1) == Front(15, ((10, 11), (14, 14)))


def test_an_empty_read_changes_nothing_but_what_the_floor_cuts_off() -> None:
    front = Front(9, ((1, 4), (6, 7)))
    assert next_front(front, [], 1) == front
    assert next_front(front, [], 3) == Front(9, ((3, 4), (6, 7)))
    assert next_front(front, [], 9) == Front(9, ())


def test_a_row_that_was_read_before_ends_the_trust() -> None:
    assert next_front(Front(9, ((1, 4),)), [5], 1) is None
    assert next_front(Front(9, ((3, 4),)), [1], 1) is None


def test_too_many_gaps_become_wide_ones_and_what_is_on_its_way_must_be_left_out_then() -> None:
    front = first_front(range(1, 4 * MOST_GAPS, 2), 1)
    assert front is not None
    assert len(front.gaps) <= MOST_GAPS
    assert not front.exact
    assert all(any(low <= row_id <= high for low, high in front.gaps) for row_id in range(2, 4 * MOST_GAPS - 2, 2))
    cut = next_front(front, [], front.highest)
    assert cut == Front(front.highest, ())


@given(seed=st.integers(0, 2**32), most=st.sampled_from([1, 3, 40]))
@settings(max_examples=200)
def test_every_id_that_was_not_read_is_in_a_gap_or_behind_the_front(seed: int, most: int) -> None:
    dice = random.Random(seed)
    unread, read, visible = set(range(1, 200)), set[int](), set[int]()
    front: Front | None = None
    for _ in range(60):
        visible |= set(dice.sample(sorted(unread), min(len(unread), dice.randrange(6))))
        ids = sorted(visible)[:most]
        front = first_front(ids, 1) if front is None else next_front(front, ids, 1)
        visible -= set(ids)
        unread -= set(ids)
        read |= set(ids)
        if front is None:
            assert not read
            continue
        assert front.exact
        for row_id in range(1, 200):
            told = row_id > front.highest or any(low <= row_id <= high for low, high in front.gaps)
            assert told == (row_id in unread)
