"""When changed credentials are tried, and when again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.renewal import ATTEMPTS, Watched, decide, looked, over, prepared, refused, trying


def seen(watched: Watched, *values: str) -> Watched:
    """After a look at each of ``values``, one after the other."""
    for value in values:
        watched = looked(watched, value)
    return watched


def action(watched: Watched, in_use: str | None = "old", now: float = 0.0, *, doubted: bool = False) -> str:
    step = decide(watched, in_use, now, doubted=doubted)
    assert step.reason
    return step.action


def test_files_that_hold_what_is_in_use_ask_for_nothing() -> None:
    assert action(seen(Watched(), "old", "old")) == "Keep"


def test_a_change_counts_when_it_is_seen_twice() -> None:
    first = seen(Watched(), "old", "new")
    assert action(first) == "Wait"
    assert action(seen(first, "new")) == "Try"


def test_files_that_are_between_two_states_are_left_alone_until_they_rest() -> None:
    watched = Watched()
    for value in ("half", "missing", "other half", "new"):
        watched = seen(watched, value)
        assert action(watched) == "Wait"
    assert action(seen(watched, "new")) == "Try"


def test_a_change_counts_at_once_where_what_is_in_use_does_not_work_any_more() -> None:
    assert action(seen(Watched(), "new"), doubted=True) == "Try"
    assert action(seen(Watched(), "old"), doubted=True) == "Keep"


def test_what_was_refused_is_tried_again_after_a_while_and_at_once_when_it_is_another() -> None:
    watched = refused(seen(Watched(), "bad", "bad"), "bad", now=100.0, chance=1.0)
    assert watched.retry_at == 105.0
    assert action(watched, now=104.9) == "Wait"
    assert action(watched, now=105.0) == "Try"
    assert action(watched, now=100.1, doubted=True) == "Try"
    assert action(seen(watched, "better", "better"), now=100.1) == "Try"


def test_files_that_are_changed_back_need_nothing_more() -> None:
    watched = refused(seen(Watched(), "bad", "bad"), "bad", now=0.0, chance=1.0)
    assert action(seen(watched, "old"), now=1000.0) == "Keep"


def test_what_is_ready_waits_and_is_dropped_when_the_files_are_changed_back() -> None:
    ready = prepared(seen(Watched(), "new", "new"), "new")
    assert action(ready) == "Wait"
    assert action(seen(ready, "old")) == "Drop"
    assert action(over(seen(ready, "old"))) == "Keep"


def test_what_is_ready_gives_way_to_a_later_change() -> None:
    ready = seen(prepared(seen(Watched(), "new", "new"), "new"), "newer", "newer")
    assert action(ready) == "Try"
    assert trying(ready).ready is None


def test_where_nothing_has_worked_yet_every_connect_reads_the_files_anyway() -> None:
    assert action(seen(Watched(), "new", "new"), in_use=None) == "Keep"


@pytest.mark.parametrize(("failures", "wait"), [(1, 5.0), (2, 10.0), (3, 20.0), (7, 300.0), (100, 300.0)])
def test_failed_logins_become_ever_rarer(failures: int, wait: float) -> None:
    watched = Watched()
    for _ in range(failures):
        watched = refused(trying(watched), "bad", now=0.0, chance=1.0)
    assert (watched.failures, watched.retry_at) == (failures, wait)


def test_other_values_start_from_the_shortest_wait() -> None:
    watched = Watched()
    for values in ("bad", "bad", "bad", "worse"):
        watched = refused(watched, values, now=0.0, chance=1.0)
    assert (watched.failures, watched.retry_at) == (1, ATTEMPTS.initial)


LOOKS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 60)), min_size=1, max_size=40)


@given(looks=LOOKS, works=st.sets(st.sampled_from("abc")), chance=st.floats(0, 1))
def test_whatever_the_files_do_only_values_that_work_and_were_seen_come_into_use(
    looks: list[tuple[str, bool, float]], works: set[str], chance: float
) -> None:
    watched, in_use, now = Watched(), "z", 0.0
    for value, doubted, passed in looks:
        now += passed
        watched = looked(watched, value)
        step = decide(watched, in_use, now, doubted=doubted)
        if step.action == "Try":
            assert value != in_use
            watched = trying(watched)
            watched = prepared(watched, value) if value in works else refused(watched, value, now, chance)
        elif step.action == "Drop":
            watched = over(watched)
        if watched.ready is not None:
            assert watched.ready in works
            in_use, watched = watched.ready, over(watched)
    assert in_use == "z" or in_use in works
    # Files that come to rest end in use if they work, and are kept out if they do not.
    last = looks[-1][0]
    for _ in range(2):
        watched, now = looked(watched, last), now + ATTEMPTS.maximum
    assert decide(watched, in_use, now, doubted=False).action == ("Keep" if last == in_use else "Try")
