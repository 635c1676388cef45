"""Whose turn it is in the work queue: critical relays first, and no namespace at the cost of others."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.controller.queue import WORKERS, WorkQueue
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.turns import Lanes, lanes_of, next_turns
from outboxrelay.errors import ClusterFault

KEYS = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([f"{n}-{t}" for n in range(12) for t in "cs"]))


def is_critical(key: Key) -> bool:
    return key[1].endswith("c")


@given(st.sets(KEYS), st.sets(KEYS, max_size=6), st.integers(1, 12))
def test_no_lane_and_no_namespace_ever_has_more_than_its_share_and_nobody_waits_beside_room(
    due: set[Key], running: set[Key], workers: int
) -> None:
    lanes = lanes_of(workers)
    due -= running
    started = next_turns([(0.0, key) for key in due], running, is_critical, lanes)
    assert len(set(started)) == len(started)
    assert set(started) <= due
    assert len(started) <= max(0, workers - len(running))
    standard = sum(not is_critical(key) for key in started)
    assert standard <= max(0, workers - lanes.reserved - sum(not is_critical(key) for key in running))
    before = Counter((key[0], is_critical(key)) for key in running)
    after = before + Counter((key[0], is_critical(key)) for key in started)
    assert all(after[place] <= max(before[place], lanes.per_namespace) for place in after)
    if not running and due:
        assert started


def test_critical_relays_start_before_standard_ones_that_have_waited_longer() -> None:
    due = [(0.0, ("a", "1-s")), (0.0, ("b", "1-s")), (9.0, ("a", "2-c"))]
    assert next_turns(due, (), is_critical, lanes_of(4))[0] == ("a", "2-c")


def test_namespaces_take_turns_and_within_one_the_longest_wait_wins() -> None:
    due = [(float(n), ("a", f"{n}-s")) for n in range(5)] + [(9.0, ("b", "0-s")), (8.0, ("b", "1-s"))]
    started = next_turns(due, (), is_critical, Lanes(workers=8, reserved=2, per_namespace=4))
    assert started == [("a", "0-s"), ("b", "1-s"), ("a", "1-s"), ("b", "0-s"), ("a", "2-s"), ("a", "3-s")]


@pytest.mark.looptime
async def test_fifty_relays_of_one_namespace_that_hang_fail_or_flap_cost_the_others_nothing() -> None:
    """Twenty well relays of other namespaces, five of them critical, are woken every 5 s beside the fifty."""
    well = [(f"team-{n % 4}", f"{n}-{'c' if n < 5 else 's'}") for n in range(20)]
    ill = [("bad", f"{n}-s") for n in range(50)]
    alone, beside = await waits_of(well, []), await waits_of(well, ill)
    print(
        f"\nlongest time in the queue of {len(well)} well relays: alone {alone:.3f} s, "
        f"beside {len(ill)} of one namespace that hang, fail and flap {beside:.3f} s"
    )
    assert beside <= alone + 0.05


async def waits_of(well: list[Key], ill: list[Key]) -> float:
    """The longest time in seconds between waking a well relay and its work, in 300 s."""
    woken: dict[Key, float] = {}
    longest = 0.0
    loop = asyncio.get_running_loop()

    async def work(key: Key) -> float | None:
        nonlocal longest
        if key in woken:
            longest = max(longest, loop.time() - woken.pop(key))
            await asyncio.sleep(0.02)
            return None
        number = int(key[1].split("-")[0])
        if number % 3 == 0:
            await asyncio.sleep(1e6)
        await asyncio.sleep(0.02)
        if number % 3 == 1:
            raise ClusterFault(0, "x", "y")
        return 0.01

    queue = WorkQueue(work, workers=WORKERS, chance=lambda: 1.0, is_critical=is_critical)
    task = asyncio.create_task(queue.run())
    for key in ill:
        queue.wake(key)
    for _ in range(60):
        await asyncio.sleep(5)
        for key in well:
            woken[key] = loop.time()
            queue.wake(key)
    await asyncio.sleep(5)
    assert not woken
    task.cancel()
    await asyncio.wait({task})
    return longest


@pytest.mark.looptime
async def test_a_changed_spec_is_looked_at_at_once_however_long_its_backoff_is() -> None:
    assert await seconds_until_looked_at(lambda queue: None) > 100
    assert await seconds_until_looked_at(lambda queue: queue.changed(("a", "x"))) == 0.0


@pytest.mark.looptime
async def test_a_spec_that_changes_while_its_relay_is_looked_at_does_not_wait_for_the_backoff_of_that_failure() -> None:
    begun: list[float] = []

    async def work(_key: Key) -> float | None:
        begun.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1)
        raise ClusterFault(0, "x", "y")

    queue = WorkQueue(work, chance=lambda: 1.0)
    task = asyncio.create_task(queue.run())
    queue.wake(("a", "x"))
    while len(begun) < 8:
        await asyncio.sleep(0.25)
    count, at = len(begun), begun[-1]
    queue.changed(("a", "x"))
    await asyncio.sleep(1.5)
    assert begun[count:] == [at + 1.0]
    task.cancel()
    await asyncio.wait({task})


async def seconds_until_looked_at(act: Callable[[WorkQueue], None]) -> float:
    """Seconds from ``act``, right after the eighth failure in a row, to the next look."""
    begun: list[float] = []
    loop = asyncio.get_running_loop()

    async def work(_key: Key) -> float | None:
        begun.append(loop.time())
        raise ClusterFault(0, "x", "y")

    queue = WorkQueue(work, chance=lambda: 1.0)
    task = asyncio.create_task(queue.run())
    queue.wake(("a", "x"))
    while len(begun) < 8:
        await asyncio.sleep(0.5)
    count, now = len(begun), loop.time()
    act(queue)
    while len(begun) == count:
        await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait({task})
    return begun[count] - now
