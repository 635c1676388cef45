"""The reader: whatever becomes of what it read, the next read sees all that may still be pending, and nothing twice."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Read
from outboxrelay.decisions.floor import SETTLE_SECONDS, Holder
from outboxrelay.decisions.outcomes import Refusal
from outboxrelay.decisions.retries import BackoffPolicy
from outboxrelay.relay.batch import Batch
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.reader import SNAPSHOT_SECONDS, SWEEP_SECONDS, Reader
from tests.support.fake_clock import FakeClock
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHARDS = 2


class Desk:
    """A reader of a table, alone with all shards."""

    def __init__(self, *, shared: bool = False, most: int = 5000) -> None:
        self.table = FakeSource(SHARDS, delay=0.0)
        self.clock = FakeClock()
        self.ownership = Ownership(SHARDS)
        self.ownership.gain(frozenset(range(SHARDS)))
        self.held = HeldKeys(lambda _: 60.0)
        self.lanes = TopicLanes(FakePublisher(), BackoffPolicy(initial=1.0, multiplier=2.0, maximum=60.0), self.clock)
        read = Read(batch_size=most)
        self.reader = Reader(self.table, self.ownership, self.held, self.lanes, read, self.clock, shared=shared)
        self.flying: list[int | str] = []

    async def read(self, *, sent: bool = True) -> list[int | str]:
        """Ids of one read; ``sent``: all of it is on its way then."""
        batch = await self.reader.read(self.flying)
        if sent:
            self.send(batch)
        return batch.ids

    def send(self, batch: Batch) -> None:
        self.reader.advance()
        self.flying += batch.ids

    async def settle(self) -> None:
        await self.table.settle(self.flying)
        self.flying.clear()

    def hold(self, row_id: int, key: str) -> None:
        refusal = Refusal(row_id, Reason.ROW_TOO_LARGE, "too large")
        self.held.hold([row(row_id, key)], [refusal], self.clock.monotonic(), NOW)

    @property
    def last(self) -> tuple[int | None, list[tuple[int, int]]]:
        """Floor and gaps of the last read."""
        return self.table.reads[-1].floor, list(self.table.reads[-1].gaps)


async def test_a_read_goes_on_behind_what_was_read_and_looks_into_every_gap() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2), row(5))
    assert await desk.read() == [1, 2, 5]
    desk.table.insert(row(4), row(6))
    assert await desk.read() == [4, 6], "a row that commits late comes first, and at once"
    assert desk.last[0] == 6
    assert desk.last[1][-1] == (3, 4)
    await desk.settle()
    assert await desk.read() == []
    assert desk.last == (7, [(-(2**63), 0), (3, 3)])


async def test_what_is_on_its_way_is_left_out_whoever_read_it() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2), row(3))
    desk.flying = [1, 2]
    assert await desk.read() == [3]
    assert await desk.read() == []
    assert desk.table.reads[-1].in_flight == (), "it is behind no front"


async def test_a_batch_that_is_not_sent_is_read_again() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2))
    assert await desk.read() == [1, 2]
    desk.table.insert(row(3), row(4))
    assert await desk.read(sent=False) == [3, 4]
    assert await desk.read() == [3, 4]


async def test_rows_that_stay_in_the_table_are_read_again_although_a_later_batch_was_read_meanwhile() -> None:
    desk = Desk(most=1000)
    desk.table.insert(row(1, "a"), row(2, "b"))
    assert await desk.read() == [1, 2]
    desk.table.insert(row(3, "c"))
    batch = await desk.reader.read(desk.flying)
    desk.flying.remove(1)
    desk.reader.retreat()
    desk.send(batch)
    assert await desk.read() == [1]


async def test_rows_of_a_held_key_are_read_once_and_come_again_when_it_is_released() -> None:
    desk = Desk()
    desk.table.insert(row(1, "a"), row(2, "b"), row(3, "a"))
    assert await desk.read() == [1, 2, 3]
    desk.flying = [2]
    desk.hold(1, "a")
    desk.table.insert(row(4, "a"), row(5, "b"))
    assert await desk.read() == [4, 5], "the pump leaves row 4 out"
    assert await desk.read() == []
    assert desk.last[0] == 6
    desk.flying = [2, 5]
    desk.held.release([1])
    desk.reader.include(1)
    assert await desk.read() == [1, 3, 4]


async def test_rows_of_a_blocked_topic_come_when_it_takes_rows_again() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2))
    assert await desk.read() == [1, 2]
    await desk.settle()
    desk.table.insert(row(3))
    desk.reader.sweep()
    assert await desk.read() == [3]
    assert desk.last == (None, [])


async def test_a_read_from_the_floor_leaves_out_what_is_held_and_the_next_one_closes_the_gaps_that_it_left() -> None:
    desk = Desk()
    desk.hold(1, "a")
    desk.table.insert(row(1, "a"), row(2, "b"), row(3, "a"), row(4, "b"))
    assert await desk.read() == [2, 4]
    assert await desk.read() == [1, 3]
    assert await desk.read() == []
    assert desk.last == (5, [(-(2**63), 0)])


async def test_shards_that_come_or_go_end_the_front() -> None:
    desk = Desk()
    desk.table.insert(*[row(i, f"k{i}") for i in range(1, 9)])
    desk.ownership.drain(frozenset({1}))
    mine = await desk.read()
    assert 0 < len(mine) < 8
    desk.ownership.gain(frozenset({1}))
    assert sorted([*mine, *await desk.read()], key=int) == list(range(1, 9))


async def test_shards_that_come_during_a_read_are_not_taken_for_read_by_it() -> None:
    # As when the other pod of a relay, which is behind this one, ends while a slow read is under way.
    desk = Desk()
    desk.ownership.drain(frozenset({1}))
    last = 0
    while desk.reader.floor is None or desk.reader.floor < 20:
        desk.table.insert(*[row(i, f"k{i}") for i in range(last + 1, last + 9)])
        last += 8
        await desk.read()
        await desk.settle()
        await asyncio.sleep(SNAPSHOT_SECONDS)
    desk.table.insert(row(last + 1, "k1"))
    during(desk, "read", lambda: desk.ownership.gain(frozenset({1})))
    assert await desk.read() == [last + 1]
    assert desk.ownership.owns_all
    others = [i for i in desk.table.rows if desk.table.shard(desk.table.rows[i]) == 1]
    assert len(others) > 20
    assert await desk.read() == others


async def test_shards_that_go_before_a_read_begins_are_not_read() -> None:
    # Nothing waits for a read that begins after they went: they are somebody else's while it is under way.
    for before in (frozenset({0, 1}), frozenset({1})):
        desk = Desk()
        desk.ownership.drain(frozenset({0, 1}) - before)
        await desk.read()
        desk.table.insert(*[row(i, f"k{i}") for i in range(1, 9)])
        await asyncio.sleep(SETTLE_SECONDS)
        desk.table.draw(100)
        await desk.read(sent=False)
        await asyncio.sleep(SNAPSHOT_SECONDS)
        during(desk, "snapshot", lambda desk=desk: desk.ownership.drain(frozenset({1})))  # type: ignore[misc]
        found = await desk.read()
        assert 1 in desk.ownership.draining
        assert [i for i in found if desk.table.shard(desk.table.rows[i]) == 1] == []


async def test_shards_that_were_away_between_two_reads_are_read_from_the_floor() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2))
    await desk.read()
    desk.ownership.drain(frozenset({1}))
    desk.ownership.released()
    desk.ownership.gain(frozenset({1}))
    await desk.read()
    assert desk.last == (None, [])


def during(desk: Desk, call: str, act: Callable[[], None]) -> None:
    """Let something happen once while the table answers a call."""
    answer = getattr(desk.table, call)

    async def answered(*arguments: Any) -> Any:
        setattr(desk.table, call, answer)
        found = await answer(*arguments)
        act()
        return found

    setattr(desk.table, call, answered)


async def test_rows_that_others_may_have_locked_are_looked_for_from_the_floor_on() -> None:
    desk = Desk(shared=True)
    desk.table.insert(row(1), row(3))
    await desk.read()
    await desk.read()
    assert desk.last == (None, [])


async def test_a_sweep_finds_what_no_front_expects() -> None:
    desk = Desk()
    desk.table.insert(row(1), row(2), row(3))
    await desk.read()
    await desk.settle()
    desk.table.insert(row(2))
    assert await desk.read() == []
    await asyncio.sleep(2 * SWEEP_SECONDS)
    assert await desk.read() == [2]
    await desk.settle()
    desk.table.insert(row(4))
    assert await desk.read() == [4]


async def test_a_sweep_that_takes_long_is_rare() -> None:
    desk = Desk()
    desk.table.insert(row(1))
    await desk.read()
    answer = desk.table.read

    async def slow(request):  # type: ignore[no-untyped-def]
        await asyncio.sleep(4.0)
        return await answer(request)

    desk.table.read = slow  # type: ignore[method-assign]
    await asyncio.sleep(2 * SWEEP_SECONDS)
    for _ in range(100):
        await desk.read()
    began = desk.clock.monotonic()
    sweeps = sum(request.floor is None for request in desk.table.reads[1:])
    assert 1 < sweeps <= 1 + (began / 150)


async def test_whoever_keeps_dead_rows_in_the_table_is_named_although_it_writes_elsewhere() -> None:
    desk = Desk()
    desk.table.holder = Holder("pid 7", 99.0)
    desk.table.open_elsewhere = 50
    for number in range(1, 60):
        desk.table.insert(row(number))
        await desk.read()
        await desk.settle()
        await asyncio.sleep(1.0)
    assert desk.reader.holder == Holder("pid 7", 99.0)
    assert desk.reader.floor is not None
    assert desk.reader.floor > 60 - 5 * SETTLE_SECONDS
    desk.table.open_elsewhere = desk.table.holder = None
    for number in range(60, 100):
        desk.table.insert(row(number))
        await desk.read()
        await asyncio.sleep(1.0)
    assert desk.reader.holder is None


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100)
async def test_every_row_is_read_in_the_read_after_its_commit_and_sent_once(seed: int) -> None:
    dice = random.Random(seed)
    desk = Desk(most=dice.choice([3, 50]))
    next_id, drawn, sent = 1, list[int](), list[int | str]()
    for _ in range(120):
        for _ in range(dice.randrange(4)):
            drawn.append(next_id)
            desk.table.draw(next_id)
            next_id += 1
        for row_id in dice.sample(drawn, dice.randrange(len(drawn) + 1)):
            drawn.remove(row_id)
            if dice.random() < 0.9:
                desk.table.insert(row(row_id, f"k{row_id % 5}"))
            else:
                del desk.table.open_transactions[row_id]
        wanted = sorted(row_id for row_id in desk.table.rows if row_id not in desk.flying)
        goes = dice.random() < 0.8
        found = await desk.read(sent=goes)
        assert found == wanted[: len(found)], "lowest ids first, none left out"
        assert found or not wanted
        if goes:
            sent += found
        elif dice.random() < 0.5:
            desk.reader.retreat()
        if dice.random() < 0.2:
            await asyncio.sleep(SWEEP_SECONDS)
        if dice.random() < 0.5:
            await desk.settle()
    assert len(set(sent)) == len(sent)
