"""What is taken out of a batch, and what stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.rows import Row, RowId
from outboxrelay.relay.batch import Batch, ids_of, size_of

NUMBERS = st.lists(st.integers(0, 60), unique=True).map(sorted)


def check(ids: list[RowId], named: set[RowId]) -> None:
    rows: list[Row] = [(row_id, "e", f"k{row_id}", "t", "x", 0, 1 + len(str(row_id))) for row_id in ids]
    batch = Batch(list(rows), list(ids), 1, full=True, size=size_of(rows))
    out = batch.take_out(named)
    assert ids_of(out) == [row_id for row_id in ids if row_id in named]
    assert batch.ids == ids_of(batch.rows) == [row_id for row_id in ids if row_id not in named]
    assert batch.size == size_of(batch.rows)


@given(NUMBERS, st.sets(st.integers(-5, 65)))
def test_named_rows_go_and_the_others_stay_in_their_order(ids: list[int], named: set[int]) -> None:
    check(list(ids), set(named))


@given(st.permutations(range(8)), st.sets(st.integers(-1, 8)))
def test_numbers_that_do_not_ascend_are_found_all_the_same(ids: list[int], named: set[int]) -> None:
    check(list(ids), set(named))


@given(st.permutations("zyxabc"), st.sets(st.sampled_from("abcdz")))
def test_texts_are_taken_out_in_whatever_order_they_are(ids: list[str], named: set[str]) -> None:
    check(list(ids), set(named))


@pytest.mark.parametrize("named", [set(), {4}])
def test_where_nothing_is_named_that_is_there_nothing_changes(named: set[RowId]) -> None:
    check([1, 2, 3], named)
