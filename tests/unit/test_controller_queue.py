"""The queue: each relay once at a time, failures apart from each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from outboxrelay.controller.queue import BACKOFF, WORKERS, WorkQueue
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.turns import lanes_of
from outboxrelay.errors import ClusterFault
from tests.support.tasks import owned

pytestmark = pytest.mark.looptime

A, B = ("shop", "a"), ("shop", "b")


class Desk:
    """Work whose behaviour a test chooses."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, Key]] = []
        self.running: list[Key] = []
        self.takes = 1.0
        self.fails: Callable[[Key], Exception | None] = lambda _key: None
        self.again: float | None = None
        self.most = 0

    async def work(self, key: Key) -> float | None:
        assert key not in self.running
        self.begun.append((asyncio.get_running_loop().time(), key))
        self.running.append(key)
        self.most = max(self.most, len(self.running))
        try:
            await asyncio.sleep(self.takes)
            if (error := self.fails(key)) is not None:
                raise error
            return self.again
        finally:
            self.running.remove(key)

    def times(self, key: Key) -> list[float]:
        return [round(when, 3) for when, who in self.begun if who == key]


@asynccontextmanager
async def running(desk: Desk, workers: int = 8) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(desk.work, workers=workers, chance=lambda: 1.0)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.wait({task})


async def test_waking_a_waiting_relay_many_times_runs_it_once() -> None:
    desk = Desk()
    async with running(desk) as queue:
        for _ in range(10):
            queue.wake(A)
        await asyncio.sleep(5)
    assert desk.times(A) == [0.0]


async def test_a_relay_that_is_woken_while_it_runs_runs_once_more_and_never_twice_at_a_time() -> None:
    desk = Desk()
    async with running(desk) as queue:
        queue.wake(A)
        await asyncio.sleep(0.5)
        queue.wake(A)
        queue.wake(A)
        await asyncio.sleep(5)
    assert desk.times(A) == [0.0, 1.0]


async def test_a_failing_relay_backs_off_and_takes_nothing_from_the_others() -> None:
    desk = Desk()
    desk.fails = lambda key: ClusterFault(500, "x", "y") if key == A else None
    async with running(desk) as queue:
        queue.wake(A)
        for _ in range(5):
            queue.wake(B)
            await asyncio.sleep(4)
    assert desk.times(A) == [0.0, 2.0, 5.0, 10.0, 19.0]
    assert desk.times(B) == [0.0, 4.0, 8.0, 12.0, 16.0]


async def test_a_bug_in_one_relays_work_ends_neither_the_queue_nor_the_relay() -> None:
    desk = Desk()
    desk.fails = lambda key: KeyError("bug") if key == A and len(desk.times(A)) == 1 else None
    async with running(desk) as queue:
        queue.wake(A)
        queue.wake(B)
        await asyncio.sleep(10)
    assert desk.times(A) == [0.0, 2.0]
    assert desk.times(B) == [0.0]


async def test_the_wait_never_exceeds_its_maximum_and_starts_anew_after_a_success() -> None:
    desk = Desk()
    desk.takes = 0.0
    desk.fails = lambda _key: ClusterFault(0, "x", "y") if len(desk.begun) <= 12 else None
    async with running(desk) as queue:
        queue.wake(A)
        await asyncio.sleep(4000)
        waits = [after - before for before, after in zip(desk.times(A), desk.times(A)[1:], strict=False)]
        assert max(waits) == BACKOFF.maximum
        desk.fails = lambda _key: ClusterFault(0, "x", "y") if len(desk.begun) == 14 else None
        queue.wake(A)
        await asyncio.sleep(100)
    assert desk.times(A)[-1] - desk.times(A)[-2] == BACKOFF.initial


async def test_a_relay_comes_again_when_its_work_asked_for_it() -> None:
    desk = Desk()
    desk.again = 5.0
    async with running(desk) as queue:
        queue.wake(A)
        await asyncio.sleep(14)
    assert desk.times(A) == [0.0, 6.0, 12.0]


async def test_only_so_many_relays_are_looked_at_at_a_time() -> None:
    desk = Desk()
    async with running(desk, workers=2) as queue:
        for number in range(6):
            queue.wake((f"shop-{number}", "a"))
        await asyncio.sleep(10)
    assert desk.most == 2
    assert len(desk.begun) == 6


async def test_work_that_hangs_is_given_up_and_the_others_go_on() -> None:
    desk = Desk()
    desk.takes = 1e6
    async with running(desk, workers=1) as queue:
        queue.wake(A)
        await asyncio.sleep(1)
        desk.takes = 0.0
        queue.wake(B)
        await asyncio.sleep(100)
    assert len(desk.times(B)) == 1


async def test_five_hundred_relays_at_once_are_looked_at_a_few_at_a_time_and_new_ones_before_known_ones() -> None:
    desk = Desk()
    desk.again = 5.0
    queue = WorkQueue(desk.work)
    keys = [(f"team-{number % 8}", f"relay-{number:03}") for number in range(500)]
    standard = WORKERS - lanes_of(WORKERS).reserved
    async with owned(queue.run()):
        for key in keys:
            queue.wake(key)
        assert queue.due() == 500
        await asyncio.sleep(2 * 500 / standard)
        assert desk.most == standard
        # Of a namespace, those that are due again have waited behind those that nobody has looked at yet.
        for team in {key[0] for key in keys}:
            mine = [key for key in keys if key[0] == team]
            assert [key for _, key in desk.begun if key[0] == team][: len(mine)] == mine
