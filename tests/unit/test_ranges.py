"""Ids as ranges: exactly those, whatever the gaps."""

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.ranges import ranges, span

IDS = st.lists(st.integers(-50, 50))


@given(IDS)
def test_ranges_hold_every_id_and_no_other(ids: list[int]) -> None:
    lows, highs = ranges(ids)
    held = [i for low, high in zip(lows, highs, strict=True) for i in range(low, high + 1)]
    assert held == sorted(set(ids))


@given(IDS)
def test_a_span_without_its_gaps_holds_every_id_and_no_other(ids: list[int]) -> None:
    found = span(ids)
    if found is not None:
        low, high, gaps = found
        assert [i for i in range(low, high + 1) if i not in gaps] == sorted(set(ids))


def test_ids_that_lie_far_apart_have_no_span() -> None:
    assert span([1, 1_000_000]) is None
    assert span([]) is None
    assert span([5, 6, 7]) == (5, 7, [])
