"""Who comes late to his own work blames nobody for being silent."""

import asyncio
import time

import pytest

from outboxrelay.controller.lateness import Lateness
from outboxrelay.decisions.attention import was_away
from tests.support.moved_clock import LoopClock, MovedClock
from tests.support.tasks import owned


@pytest.mark.parametrize(
    ("late", "waited", "away"),
    [(0.0, 3.0, False), (1.4, 3.0, False), (1.6, 3.0, True), (0.9, 0.9, False), (5.0, 5.0, True)],
)
def test_a_silence_of_which_we_missed_more_than_half_says_nothing(late: float, waited: float, away: bool) -> None:
    assert was_away(late, waited) is away


@pytest.mark.looptime
async def test_a_loop_that_keeps_up_is_never_late() -> None:
    lateness = Lateness(LoopClock(), lambda _: None)
    async with owned(lateness.run()):
        away = lateness.since()
        await asyncio.sleep(100)
    assert lateness.seconds == 0
    assert not away()


@pytest.mark.looptime
async def test_seconds_in_which_the_process_stood_still_are_counted_and_told() -> None:
    clock, told = LoopClock(), list[float]()
    lateness = Lateness(clock, told.append)
    async with owned(lateness.run()):
        await asyncio.sleep(1)
        away = lateness.since()
        clock.stood += 2.0
        await asyncio.sleep(0.5)
        assert away()
        assert lateness.seconds == pytest.approx(1.95, abs=0.01)
        assert sum(told) == lateness.seconds
        later = lateness.since()
        await asyncio.sleep(3)
        assert not later()


async def test_work_that_blocks_the_loop_is_seen_on_the_real_clock() -> None:
    class RealClock(MovedClock):
        def monotonic(self) -> float:
            return time.monotonic()

    lateness = Lateness(RealClock(), lambda _: None)
    async with owned(lateness.run()):
        await asyncio.sleep(0.05)
        time.sleep(0.5)
        await asyncio.sleep(0.05)
    assert lateness.seconds >= 0.3
