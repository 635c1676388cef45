"""Housekeeping: gentle, only by the owner of the first shard, and never a reason for the relay to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Table
from outboxrelay.decisions.retention import FEWEST_ROWS, MOST_ROWS, after_batch, after_fault, kept_seconds
from outboxrelay.errors import SourceFault
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.retention import Housekeeper
from tests.support.fake_clock import FakeClock
from tests.support.fake_relay import FakeRelay
from tests.support.fake_retention import FakeRetention

pytestmark = pytest.mark.looptime

DENIED = SourceFault(Reason.PERMISSION_DENIED, "the user lacks a privilege: GRANT DELETE")
MARK: dict[str, Any] = {"afterDelivery": "Mark", "retentionSeconds": 600}
ARCHIVE: dict[str, Any] = {"afterDelivery": "Archive"}


def table(**fields: Any) -> Table:
    return Table.model_validate({"name": "outbox", **fields})


class House:
    """A housekeeper on fakes."""

    def __init__(self, fields: dict[str, Any], marked: int = 0, owned: frozenset[int] = frozenset({0, 1})) -> None:
        self.retention, self.ownership, self.stop = FakeRetention(marked), Ownership(4), asyncio.Event()
        self.ownership.gain(owned)
        self.keeper = Housekeeper(self.retention, table(**fields), self.ownership, FakeClock())

    def told(self) -> str:
        """Its limitation, or nothing."""
        return self.keeper.limitation or ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["House"]:
        task = asyncio.create_task(self.keeper.run(self.stop))
        try:
            yield self
        finally:
            self.stop.set()
            await task


async def test_marked_rows_go_in_batches_until_none_is_left_and_then_it_rests() -> None:
    async with House(MARK, marked=2500).running() as house:
        await asyncio.sleep(5)
        assert house.retention.marked == 0
        assert house.retention.asked == [(600.0, 1000)] * 3
        await asyncio.sleep(70)
        assert len(house.retention.asked) == 4


async def test_only_the_owner_of_the_first_shard_keeps_house_and_another_takes_over() -> None:
    async with House(MARK, marked=10, owned=frozenset({2})).running() as house:
        await asyncio.sleep(100)
        assert house.retention.asked == []
        house.ownership.gain(frozenset({0}))
        await asyncio.sleep(6)
        assert house.retention.marked == 0


async def test_the_archive_is_rotated_at_once_and_hourly_and_sooner_where_somebody_reads() -> None:
    async with House(ARCHIVE).running() as house:
        await asyncio.sleep(1)
        assert house.retention.rotations == [30 * 86_400.0]
        house.retention.done = ("busy archive_1_20250101",)
        await asyncio.sleep(3600)
        assert len(house.retention.rotations) == 2
        house.retention.done = ("dropped archive_1_20250101",)
        await asyncio.sleep(61)
        assert len(house.retention.rotations) == 3


async def test_a_fault_is_told_retried_without_haste_and_forgotten_when_it_is_over() -> None:
    house = House(MARK, marked=10)
    house.retention.fault = DENIED
    async with house.running():
        await asyncio.sleep(600)
        assert 10 <= len(house.retention.asked) <= 40
        assert house.told() == (
            "marked rows are kept for longer than retentionSeconds: the user lacks a privilege: GRANT DELETE"
        )
        house.retention.fault = None
        await asyncio.sleep(61)
        assert house.told() == ""
        assert house.retention.marked == 0


@pytest.mark.parametrize("fields", [{}, {"afterDelivery": "Mark"}])
async def test_where_nothing_is_to_go_nothing_is_asked(fields: dict[str, Any]) -> None:
    house = House(fields)
    async with asyncio.timeout(1):
        await house.keeper.run(house.stop)
    assert not house.retention.asked
    assert not house.retention.rotations


async def test_a_bug_in_the_housekeeping_ends_the_relay_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = FakeRelay()
    process = relay.build()

    async def broken(_: asyncio.Event) -> None:
        await asyncio.sleep(3)
        raise ZeroDivisionError

    monkeypatch.setattr(process._parts.housekeeper, "run", broken)
    async with asyncio.timeout(60):
        with pytest.raises(ZeroDivisionError):
            await process.run()


def test_what_is_kept_for_how_long() -> None:
    assert kept_seconds(table()) is None
    assert kept_seconds(table(afterDelivery="Mark")) is None
    assert kept_seconds(table(**MARK)) == 600.0
    assert kept_seconds(table(**ARCHIVE)) == 2_592_000.0
    assert kept_seconds(table(**ARCHIVE, retentionSeconds=60)) == 60.0


@given(st.integers(FEWEST_ROWS, MOST_ROWS), st.floats(0, 10), st.floats(0, 1))
def test_batches_take_a_fifth_of_the_time_at_most_and_shrink_where_they_are_slow(
    asked: int, seconds: float, chance: float
) -> None:
    step = after_batch(asked, asked, seconds, chance)
    assert seconds / (seconds + step.pause) <= 0.2000001
    assert FEWEST_ROWS <= step.rows <= MOST_ROWS
    assert step.rows <= asked or seconds <= 0.5
    assert after_batch(asked, asked - 1, seconds, chance).pause > 50
    assert after_fault(asked, 5, chance).rows <= asked
