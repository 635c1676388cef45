"""How the pump rests: polling without a doorbell, waiting for it with one; in virtual time."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Read
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.rest import BUSY_READS, DEAF_SECONDS, LOOK_SECONDS, VAIN_RINGS, Rest
from tests.support.fake_clock import FakeClock
from tests.support.fake_doorbell import FakeDoorbell
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
    unreadable: bool = False
    """Whether the rows are somebody else's."""
    reads: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)

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
            await self.rest.after(rows, False, begun, lambda: None)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done(), self.task
        self.task.cancel()
        await asyncio.wait({self.task})

    def commit(self) -> None:
        """One row, by a writer whose trigger looks at the flag now."""
        self.pending += 1
        self.doorbell.ring()


async def test_a_bell_wakes_a_sleeping_relay_at_once() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.doorbell.asleep_until is not None)
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


async def test_a_row_whose_writer_looked_before_the_flag_was_up_is_found_by_a_poll_that_comes_soon() -> None:
    async with Pump() as pump:
        while pump.doorbell.asleep_until is None:
            await asyncio.sleep(READ_SECONDS / 4)
        await asyncio.sleep(0.03)
        pump.pending += 1
        before = asyncio.get_running_loop().time()
        while not pump.found:
            await asyncio.sleep(0.001)
        assert pump.found[0] - before < 0.1


async def test_one_row_costs_two_reads_and_no_write_while_the_flag_is_up() -> None:
    async with Pump() as pump:
        await asyncio.sleep(5)
        pump.doorbell.asleep_until = asyncio.get_running_loop().time() + 100
        reads, writes = len(pump.reads), pump.doorbell.writes
        for _ in range(10):
            pump.commit()
            await asyncio.sleep(0.05)
        assert len(pump.found) == 10
        assert len(pump.reads) - reads == pytest.approx(20, abs=1)
        assert pump.doorbell.writes == writes


async def test_an_idle_relay_with_a_doorbell_asks_the_database_little() -> None:
    async with Pump() as pump:
        await asyncio.sleep(20)
        reads, writes = len(pump.reads), pump.doorbell.writes
        await asyncio.sleep(60)
        assert len(pump.reads) - reads <= 66
        assert pump.doorbell.writes - writes <= 9


async def test_a_busy_relay_asks_nobody_to_ring_and_asks_again_when_it_is_idle() -> None:
    async with Pump() as pump:
        await asyncio.sleep(1)
        for _ in range(BUSY_READS * 5):
            pump.commit()
            await asyncio.sleep(0.001)
        assert not pump.doorbell.is_asked()
        await asyncio.sleep(0.05)
        assert pump.doorbell.is_asked()
        assert len(pump.found) == BUSY_READS * 5


async def test_a_read_that_is_full_takes_the_flag_down_at_once() -> None:
    doorbell = FakeDoorbell()
    rest = Rest(doorbell, Ownership(1), Read(), FakeClock())
    await rest.begin()
    await rest.after(0, False, 0.0, lambda: None)
    assert doorbell.is_asked()
    before = asyncio.get_running_loop().time()
    await rest.after(5000, True, before, lambda: None)
    assert not doorbell.is_asked()
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
        pump.doorbell.fault = SourceFault(Reason.PERMISSION_DENIED, "PostgreSQL: permission denied for table doorbell")
        await asyncio.sleep(15)
        assert "permission denied" in (pump.rest.limitation or "")
        pump.commit()
        await asyncio.sleep(1.1)
        assert len(pump.found) == 1
        pump.doorbell.fault = None
        await asyncio.sleep(LOOK_SECONDS * 1.1)
        assert pump.rest.limitation is None
        assert pump.doorbell.is_asked()


async def test_a_doorbell_that_is_hung_up_later_is_noticed() -> None:
    async with Pump(FakeDoorbell("no doorbell hangs here")) as pump:
        await asyncio.sleep(5)
        assert pump.doorbell.writes == 0
        pump.doorbell.limitation = None
        await asyncio.sleep(LOOK_SECONDS)
        assert pump.rest.limitation is None
        assert pump.doorbell.writes > 0


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
    await rest.after(0, False, loop.time(), lambda: beats.append(loop.time()))
    await rest.after(0, False, loop.time(), lambda: beats.append(loop.time()))
    assert loop.time() > 50
    assert len(beats) >= 10
