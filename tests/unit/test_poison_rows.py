"""What tests of poison rows rest on: which rows may wait, what a replay promises, when records were appended."""

import pytest

from tests.support import poison_rows
from tests.support.appends import span
from tests.support.oracle import Arrived, Committed

ROWS = [Committed(f"k{n % 500}", n // 500 + 1, f"e{n}", n + 1) for n in range(10_000)]


def records(*events: Committed, partition: int = 0) -> list[Arrived]:
    return [
        Arrived(one.key, one.number, one.event_id, one.row_id, partition, offset, float(offset))
        for offset, one in enumerate(events)
    ]


@pytest.mark.parametrize("per_key", [1, 2])
def test_poison_is_spread_over_the_rows_with_as_many_in_each_key_as_asked_for(per_key: int) -> None:
    poison = poison_rows.chosen(ROWS, 500, per_key=per_key)
    keys = [event.key for event in poison]
    assert len(set(poison)) == 20
    assert {keys.count(key) for key in keys} == {per_key}
    ids = [event.row_id for event in poison]
    assert ids == sorted(ids)
    assert ids[-1] > 9_500


def test_a_poison_row_and_what_follows_it_in_its_key_may_wait_and_nothing_else() -> None:
    a1, b1, a2, b2, a3 = (Committed(key, n, f"{key}{n}", n) for key, n in zip("ababa", range(1, 6), strict=True))
    assert poison_rows.behind([a1, b1, a2, b2, a3], [a3, a2]) == {a2.event_id, a3.event_id}
    assert poison_rows.behind([a1, b1, a2, b2, a3], []) == frozenset()


A1, A2, A3, A4 = (Committed("a", n, f"a{n}", n) for n in (1, 2, 3, 4))


def test_a_replay_that_comes_last_and_in_order_has_no_problem() -> None:
    assert not list(poison_rows.replay_problems(records(A1, A4, A2, A3), [A2, A3]))


@pytest.mark.parametrize(
    ("arrived", "told"),
    [
        ([A1, A4, A2], "missing: key a number 3"),
        ([A1, A4, A2, A3, A3], "twice: key a number 3"),
        ([A1, A2, A4, A3], "not last of its key: key a number 2"),
        ([A1, A4, A3, A2], "out of order among the replayed: key a number 2"),
    ],
)
def test_what_is_wrong_with_a_replay_is_named(arrived: list[Committed], told: str) -> None:
    [problem] = poison_rows.replay_problems(records(*arrived), [A2, A3])
    assert problem.startswith(told)


def test_a_span_goes_from_the_first_record_of_all_to_the_last_first_arrival_of_those_asked_for() -> None:
    found = records(A1, A2, A3, A2, A4)
    assert span(found, {"a2", "a3"}) == 2
    assert span(found) == 4
    with pytest.raises(LookupError):
        span(found, {"b"})
