"""The last hour of each relay: bounded, complete, and drawn as it was."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.controller.console.curves import curve
from outboxrelay.controller.console.history import PERIOD_SECONDS, POINTS, UNKNOWN, History
from outboxrelay.controller.relay_metrics import RelayNumbers
from tests.support.tasks import owned

KEY = ("shop", "orders")


def numbers(rows: int | None, lag: float | None = 0.0) -> RelayNumbers:
    return RelayNumbers(backlog_rows=rows, lag_seconds=lag)


def test_points_stand_in_order_and_the_oldest_make_room() -> None:
    history = History(points=4)
    for rows in range(6):
        history.record([(KEY, numbers(rows, rows / 2))])
    assert list(history.of(KEY).backlog) == [2, 3, 4, 5]
    assert list(history.of(KEY).lag) == [1, 1.5, 2, 2.5]


def test_what_was_not_known_is_no_zero() -> None:
    history = History(points=4)
    for item in (numbers(7), numbers(None, None), numbers(0)):
        history.record([(KEY, item)])
    assert list(history.of(KEY).backlog) == [UNKNOWN, 7, UNKNOWN, 0]


def test_a_relay_that_comes_later_was_unknown_before_and_one_that_goes_is_forgotten() -> None:
    history, late = History(points=3), ("shop", "late")
    history.record([(KEY, numbers(1))])
    history.record([(KEY, numbers(2)), (late, numbers(9))])
    assert list(history.of(late).backlog) == [UNKNOWN, UNKNOWN, 9]
    history.record([(late, numbers(8))])
    assert len(history) == 1
    assert set(history.of(KEY).backlog) == {UNKNOWN}


def test_five_hundred_relays_take_a_megabyte_however_long_it_goes_on() -> None:
    history = History()
    keys = [("shop", f"r{number}") for number in range(500)]
    sizes = []
    for _ in range(2):
        for point in range(POINTS):
            history.record((key, numbers(point)) for key in keys)
        series = [history.of(key) for key in keys]
        sizes.append(sum(len(ring) * ring.itemsize for item in series for ring in (item.backlog, item.lag)))
    assert sizes == [500 * 2 * POINTS * 4] * 2
    assert len(history) == 500


@pytest.mark.looptime
async def test_a_point_is_taken_each_quarter_of_a_minute() -> None:
    history, rows = History(), itertools.count(1)
    async with owned(history.follow(lambda: [(KEY, numbers(next(rows)))])):
        await asyncio.sleep(PERIOD_SECONDS * 3.5)
    assert list(history.of(KEY).backlog)[-5:] == [UNKNOWN, 1, 2, 3, 4]


def spots(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (spot.split() for part in path.split("M")[1:] for spot in part.split("L"))]


def test_a_curve_keeps_the_peak_of_each_column() -> None:
    points = [0.0] * 40
    points[17] = 80.0
    drawn = curve(points, width=100, height=20, columns=10, least_top=1)
    assert min(y for _, y in spots(drawn.line)) == 1
    assert (drawn.top, drawn.most, drawn.last) == (80, 80, 0)


def test_what_is_unknown_is_a_gap_and_a_single_point_can_be_seen() -> None:
    drawn = curve([UNKNOWN, 5.0, UNKNOWN, 5.0, 5.0], width=80, height=20, columns=5, least_top=1)
    assert drawn.line.count("M") == 2
    assert spots(drawn.line)[0] != spots(drawn.line)[1]
    empty = curve([UNKNOWN] * 5, width=80, height=20, columns=5, least_top=1)
    assert (empty.known, empty.line, empty.area) == (False, "", "")


def test_a_curve_is_scaled_to_what_should_not_be_passed_too() -> None:
    calm = curve([3.0, 3.0], width=80, height=20, columns=2, least_top=1, limit=30)
    assert (calm.top, calm.mark) == (30, 1)
    late = curve([3.0, 60.0], width=80, height=20, columns=2, least_top=1, limit=30)
    assert (late.top, late.mark) == (60, 10)


@given(
    st.lists(st.one_of(st.just(UNKNOWN), st.floats(0, 1e9)), max_size=300),
    st.integers(2, 60),
    st.one_of(st.none(), st.floats(1, 1e6)),
)
def test_a_curve_never_leaves_its_picture(points: list[float], columns: int, limit: float | None) -> None:
    drawn = curve(points, width=90, height=20, columns=columns, least_top=1, limit=limit)
    for x, y in spots(drawn.line):
        assert -0.1 <= x <= 91.1
        assert 0.9 <= y <= 19.1
    assert drawn.known is any(point != UNKNOWN for point in points)
