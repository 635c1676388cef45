"""How the pump rests: polling without a doorbell, waiting for it with one; in virtual time."""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Read
from outboxrelay.decisions.waking import MOST_RINGS, QUIET_SECONDS, RINGS_PER_SECOND
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.rest import CONTESTED_SECONDS, DEAF_SECONDS, LOOK_SECONDS, VAIN_RINGS, Rest
from tests.support.fake_clock import FakeClock
from tests.support.fake_doorbell import BUCKETS, FakeDoorbell
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import row

pytestmark = pytest.mark.looptime

READ_SECONDS = 0.001


@dataclass
class Pump:
    """Reads as the pump does, and notes when."""

    doorbell: FakeDoorbell = field(default_factory=FakeDoorbell)
    ownership: Ownership = field(default_factory=lambda: Ownership(1))
    pending: int = 0
    """Rows that are committed."""
    full: int = 0
    """Reads that find more than they take."""
    unreadable: bool = False
    """Whether the rows are somebody else's."""
    reads: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds from a commit to the read that found it."""

    def __post_init__(self) -> None:
        self.rest = Rest(self.doorbell, self.ownership, Read(), FakeClock())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        await self.rest.begin()
        while True:
            self.ownership.changed.clear()
            begun = loop.time()
            rows, self.pending = (0 if self.unreadable else self.pending), 0
            await asyncio.sleep(READ_SECONDS)
            self.reads.append(begun)
            self.found += [begun] * rows
            if self.full:
                self.full -= 1
                await self.rest.busy()
                continue
            await self.rest.after(rows, begun, lambda: None)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done(), self.task
        self.task.cancel()
        await asyncio.wait({self.task})

    def commit(self) -> None:
        """One row, by a transaction that inserts and commits now."""
        self.pending += 1
        self.doorbell.ring()

    async def write(self, seconds: float, bucket: int = 0, *, roll_back: bool = False) -> None:
        """One row, by a transaction that inserts now and commits after ``seconds``; it is read at ``found_after``."""
        writing = self.doorbell.insert(bucket)
        await asyncio.sleep(seconds)
        if roll_back:
            writing.roll_back()
            return
        committed, before = asyncio.get_running_loop().time(), len(self.found)
        self.pending += 1
        writing.commit()
        while len(self.found) == before:
            await asyncio.sleep(READ_SECONDS / 4)
        self.waits.append(self.found[-1] - committed)


async def test_a_bell_wakes_a_sleeping_relay_at_once() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(relay.doorbell.is_asked)
        await asyncio.sleep(5)
        relay.source.insert(row(1))
        relay.doorbell.ring()
        before = asyncio.get_running_loop().time()
        while not relay.publisher.arrived:
            await asyncio.sleep(0.001)
        assert asyncio.get_running_loop().time() - before < 0.02


async def test_a_bell_that_is_never_heard_costs_one_poll_and_no_row() -> None:
    relay = FakeRelay()
    async with relay.running():
        await asyncio.sleep(5)
        relay.source.insert(row(1))
        await relay.until(lambda: bool(relay.publisher.arrived), seconds=1.2)


@pytest.mark.parametrize("after", [number / 4000 for number in range(40)])
async def test_a_row_that_is_committed_at_any_instant_of_falling_asleep_is_read_at_once(after: float) -> None:
    async with Pump() as pump:
        await asyncio.sleep(after)
        pump.commit()
        await asyncio.sleep(0.01)
        assert len(pump.found) == 1


async def test_a_row_of_a_transaction_that_is_open_when_the_relay_falls_asleep_is_found_by_a_poll_that_comes_soon() -> (
    None
):
    async with Pump() as pump:
        open_one = asyncio.create_task(pump.write(30, bucket=2))
        await asyncio.sleep(10)
        assert not pump.doorbell.is_asked()
        for bucket in (0, 1, 3):
            await pump.write(0.002, bucket)
            assert pump.waits[-1] < 0.005, "writers of the other buckets ring"
            await asyncio.sleep(1)
        reads = len(pump.reads)
        await asyncio.sleep(10)
        assert len(pump.reads) - reads <= 1.2 * 10 / CONTESTED_SECONDS
        await open_one
        assert pump.waits[-1] <= CONTESTED_SECONDS + READ_SECONDS
        await asyncio.sleep(1)
        assert pump.doorbell.is_asked()


async def test_a_transaction_that_is_rolled_back_keeps_nobody_from_sleeping() -> None:
    async with Pump() as pump:
        await pump.write(3, roll_back=True)
        await asyncio.sleep(2 * CONTESTED_SECONDS)
        assert pump.doorbell.is_asked()
        assert pump.doorbell.rings == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whoever_commits_whenever_waits_for_no_poll(seed: int) -> None:
    """Except where a transaction stays open, which polls every tenth of a second make up for."""
    chance = random.Random(seed)
    async with Pump() as pump:
        writers: set[asyncio.Task[None]] = set()
        for _ in range(300):
            seconds = chance.choice([0.0, 0.001, 0.003, chance.expovariate(20)])
            roll_back = chance.random() < 0.1
            writers.add(asyncio.create_task(pump.write(seconds, chance.randrange(BUCKETS), roll_back=roll_back)))
            await asyncio.sleep(chance.expovariate(chance.choice([1, 10, 100, 1000])))
        done, late = await asyncio.wait(writers, timeout=2)
        assert not late
        assert {task.exception() for task in done} == {None}
        waits = sorted(pump.waits)
        assert waits[-1] <= CONTESTED_SECONDS + 5 * READ_SECONDS
        assert waits[len(waits) * 8 // 10] < 0.02


async def test_one_row_costs_two_reads_and_no_statement_for_the_doorbell() -> None:
    async with Pump() as pump:
        await asyncio.sleep(5)
        reads, statements = len(pump.reads), pump.doorbell.statements
        for _ in range(10):
            pump.commit()
            await asyncio.sleep(0.05)
        assert len(pump.found) == 10
        assert len(pump.reads) - reads == pytest.approx(20, abs=1)
        assert pump.doorbell.statements == statements


async def test_an_idle_relay_with_a_doorbell_asks_the_database_little() -> None:
    async with Pump() as pump:
        await asyncio.sleep(20)
        reads, statements = len(pump.reads), pump.doorbell.statements
        await asyncio.sleep(60)
        assert len(pump.reads) - reads <= 66
        assert pump.doorbell.statements == statements


async def test_a_relay_that_is_rung_too_often_asks_nobody_until_it_is_quiet() -> None:
    async with Pump() as pump:
        await asyncio.sleep(1)
        for _ in range(1000):
            pump.commit()
            await asyncio.sleep(0.002)
        assert not pump.doorbell.is_asked()
        assert pump.doorbell.rings <= MOST_RINGS + 5
        assert pump.doorbell.statements == 2, "asked once, and stopped asking once"
        await asyncio.sleep(QUIET_SECONDS + 0.05)
        assert pump.doorbell.is_asked()
        assert len(pump.found) == 1000


@pytest.mark.parametrize("per_second", [100, 300, 3000])
async def test_writers_ring_no_more_often_than_is_allowed_whatever_they_write(per_second: int) -> None:
    chance, seconds = random.Random(per_second), 1000 / per_second
    async with Pump() as pump:
        await asyncio.sleep(1)
        pump.reads.clear()
        for _ in range(1000):
            pump.commit()
            await asyncio.sleep(chance.expovariate(per_second))
        assert pump.doorbell.rings <= (RINGS_PER_SECOND * seconds + MOST_RINGS) * 1.2
        assert max(after - before for before, after in pairwise(pump.reads)) < 0.1


async def test_an_awake_relay_that_finds_nothing_looks_ever_more_rarely_until_it_sleeps() -> None:
    async with Pump() as pump:
        await asyncio.sleep(1)
        pump.full = 3
        pump.commit()
        await asyncio.sleep(0.005)
        assert not pump.doorbell.is_asked()
        pump.reads.clear()
        await asyncio.sleep(QUIET_SECONDS - 0.02)
        assert not pump.doorbell.is_asked()
        assert 3 < len(pump.reads) < 12
        await asyncio.sleep(0.06)
        assert pump.doorbell.is_asked()


async def test_a_relay_that_finds_more_than_it_can_take_asks_nobody() -> None:
    doorbell = FakeDoorbell()
    rest = Rest(doorbell, Ownership(1), Read(), FakeClock())
    await rest.begin()
    await rest.after(0, 0.0, lambda: None)
    assert doorbell.is_asked()
    before = asyncio.get_running_loop().time()
    await rest.busy()
    assert not doorbell.is_asked()
    statements = doorbell.statements
    await rest.busy()
    assert doorbell.statements == statements
    assert asyncio.get_running_loop().time() - before < 0.005


async def test_rings_for_rows_of_others_do_not_make_it_read_all_the_time() -> None:
    async with Pump(unreadable=True) as pump:
        await asyncio.sleep(1)
        reads = len(pump.reads)
        for _ in range(int(DEAF_SECONDS * 1000)):
            pump.commit()
            await asyncio.sleep(0.001)
        assert len(pump.reads) - reads < VAIN_RINGS + 30
        pump.unreadable = False
        await asyncio.sleep(DEAF_SECONDS)
        pump.commit()
        await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - pump.found[-1] < 0.01


async def test_a_ring_for_a_row_that_cannot_be_read_yet_makes_polls_look_after_it() -> None:
    async with Pump(unreadable=True) as pump:
        await asyncio.sleep(5)
        pump.commit()
        await asyncio.sleep(0.03)
        pump.unreadable, pump.pending = False, 1
        await asyncio.sleep(0.1)
        assert len(pump.found) == 1


async def test_a_change_of_shards_ends_the_rest() -> None:
    async with Pump() as pump:
        await asyncio.sleep(5.5)
        reads = len(pump.reads)
        pump.ownership.gain(frozenset({0}))
        await asyncio.sleep(0.01)
        assert len(pump.reads) == reads + 1


async def test_a_doorbell_that_fails_is_polled_around_and_used_again_later() -> None:
    async with Pump() as pump:
        await asyncio.sleep(1)
        pump.doorbell.fault = SourceFault(Reason.PERMISSION_DENIED, "PostgreSQL: permission denied")
        pump.full = 1
        pump.commit()
        await asyncio.sleep(15)
        assert "permission denied" in (pump.rest.limitation or "")
        pump.commit()
        await asyncio.sleep(1.1)
        assert len(pump.found) == 2
        pump.doorbell.fault = None
        await asyncio.sleep(LOOK_SECONDS * 1.1)
        assert pump.rest.limitation is None
        assert pump.doorbell.is_asked()


async def test_a_doorbell_that_is_hung_up_later_is_noticed() -> None:
    async with Pump(FakeDoorbell("no doorbell hangs here")) as pump:
        await asyncio.sleep(5)
        assert pump.doorbell.statements == 0
        pump.doorbell.limitation = None
        await asyncio.sleep(LOOK_SECONDS)
        assert pump.rest.limitation is None
        assert pump.doorbell.is_asked()


async def test_without_a_doorbell_the_table_is_polled_ever_more_rarely_and_it_is_said() -> None:
    relay = FakeRelay()
    relay.doorbell = FakeDoorbell("no doorbell hangs here")
    async with relay.running():
        await asyncio.sleep(10)
        reads = len(relay.source.reads)
        await asyncio.sleep(60)
        assert 55 <= len(relay.source.reads) - reads <= 70
        assert "no doorbell hangs here" in relay.report.limitations


async def test_long_waits_beat() -> None:
    read = Read.model_validate({"minPollMilliseconds": 60000, "maxPollMilliseconds": 60000})
    doorbell, beats = FakeDoorbell(), list[float]()
    rest = Rest(doorbell, Ownership(1), read, FakeClock())
    await rest.begin()
    loop = asyncio.get_running_loop()
    await rest.after(0, loop.time(), lambda: beats.append(loop.time()))
    await rest.after(0, loop.time(), lambda: beats.append(loop.time()))
    assert loop.time() > 50
    assert len(beats) >= 10
