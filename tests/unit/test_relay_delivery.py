"""The relay on fakes, in virtual time: what arrives, in which order, and what stays in the table."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.decisions.rows import KEY, ROW_ID, ReadRequest, Row, RowId
from outboxrelay.errors import SourceFault, TargetFault
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime

DOWN = TargetFault(Reason.BROKER_UNAVAILABLE, "1/1 brokers are down")
LOST = SourceFault(Reason.CONNECT_FAILED, "the connection was lost")


def first_arrivals_are_ordered(publisher: FakePublisher) -> bool:
    """Per key, repeats dropped."""
    seen: set[int] = set()
    last: dict[str | None, int] = {}
    for item in publisher.arrived:
        row_id, key = int(item[ROW_ID]), item[KEY]
        if row_id not in seen:
            if key is not None and row_id < last.get(key, 0):
                return False
            last[key] = row_id
        seen.add(row_id)
    return True


async def test_every_row_arrives_once_in_order_and_leaves_the_table() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(i, f"k{i % 3}") for i in range(1, 1001)))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 1001))
    assert relay.report.delivery.rows_total == 1000


async def test_a_row_that_commits_late_is_still_delivered() -> None:
    relay = FakeRelay()
    relay.source.draw(5)
    relay.source.insert(row(6, "other"))
    async with relay.running():
        await relay.until(lambda: relay.publisher.ids == [6])
        await asyncio.sleep(60)
        relay.source.insert(row(5, "k"))
        await relay.until(lambda: relay.publisher.ids == [6, 5])


async def test_the_floor_follows_what_was_delivered_and_the_reads_use_it() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(i) for i in range(1, 101)))
    async with relay.running():
        await relay.until(lambda: relay.report.floor == 101)
        await asyncio.sleep(5)
        assert {request.floor for request in relay.source.reads[-3:]} <= {101, None}


async def test_a_row_below_the_floor_that_no_transaction_announced_is_found_by_the_sweep() -> None:
    relay = FakeRelay()
    relay.source.insert(row(100))
    async with relay.running():
        await relay.until(lambda: relay.report.floor == 101)
        relay.source.rows[7] = row(7)
        await relay.until(lambda: 7 in relay.publisher.ids, seconds=15)


async def test_a_crash_between_publish_and_settle_repeats_and_loses_nothing() -> None:
    source, publisher = FakeSource(), FakePublisher()
    source.insert(*(row(i) for i in range(1, 31)))
    first = FakeRelay(source, publisher)
    async with first.running():
        source.settle_fault = LOST
        await first.until(lambda: bool(publisher.arrived))
        first.task.cancel()
        await asyncio.wait({first.task})
        first.task = asyncio.create_task(asyncio.sleep(0))
    source.settle_fault = None
    second = FakeRelay(source, publisher)
    async with second.running():
        await second.until(lambda: not source.rows)
    assert set(publisher.ids) == set(range(1, 31))
    assert len(publisher.ids) > 30
    assert first_arrivals_are_ordered(publisher)


async def test_a_row_that_cannot_be_sent_holds_its_key_and_no_other() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {3}
    relay.source.insert(*(row(i, "bad" if i in (1, 3, 5, 25) else f"k{i % 4}") for i in range(1, 41)))
    async with relay.running():
        await relay.until(lambda: len(relay.source.rows) == 3)
        await asyncio.sleep(10)
        assert sorted(relay.source.rows) == [3, 5, 25]
        held = relay.report.held
    assert (held.keys, [item.row_id for item in held.rows]) == (1, [3])
    assert (held.rows[0].key, held.rows[0].reason, held.rows[0].event_id) == ("bad", "RowTooLarge", "event-3")


async def test_a_held_key_goes_on_in_order_when_its_row_was_mended() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {2}
    relay.source.insert(row(1), row(2), row(3))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        relay.publisher.too_large = set()
        await relay.until(lambda: not relay.source.rows)
        assert relay.report.held.keys == 0
    assert relay.publisher.ids == [1, 2, 3]


async def test_a_held_key_goes_on_when_its_row_was_deleted() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {2}
    relay.source.insert(row(1), row(2), row(3))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        await relay.until(lambda: relay.report.floor is not None, seconds=30)
        del relay.source.rows[2]
        await relay.until(lambda: relay.publisher.ids == [1, 3], seconds=70)


async def test_rows_without_a_key_hold_only_themselves() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {2}
    relay.source.insert(row(1, None), row(2, None), row(3, None))
    async with relay.running():
        await relay.until(lambda: sorted(relay.source.rows) == [2])
        assert relay.report.held.rows[0].key is None


async def test_a_held_row_is_tried_after_one_minute_then_ever_more_rarely() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {1}
    relay.source.insert(row(1))
    async with relay.running():
        await asyncio.sleep(59)
        assert len(relay.publisher.batches) == 1
        await asyncio.sleep(5)
        assert len(relay.publisher.batches) == 2
        await asyncio.sleep(1800)
        assert 5 <= len(relay.publisher.batches) <= 7
        assert relay.report.held.rows[0].attempts == len(relay.publisher.batches)


async def test_the_circuit_opens_waits_longer_each_time_and_goes_on_from_the_table() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(i) for i in range(1, 11)))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
        relay.publisher.down = DOWN
        relay.source.insert(*(row(i) for i in range(11, 21)))
        await relay.until(lambda: relay.report.delivery.circuit == "Open")
        report = relay.report
        assert (report.target.healthy, report.target.reason) == (False, "BrokerUnavailable")
        assert report.delivery.retry_at is not None
        assert report.ready
        tries = len(relay.publisher.opens)
        await asyncio.sleep(600)
        assert 600 / 15 <= len(relay.publisher.opens) - tries <= 600 / 7 + 10
        relay.publisher.down = None
        await relay.until(lambda: not relay.source.rows)
        assert (relay.report.target.healthy, relay.report.delivery.circuit) == (True, "Closed")
    assert relay.publisher.ids == list(range(1, 21))


async def test_what_was_confirmed_before_the_brokers_went_away_is_settled_not_repeated() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(i) for i in range(1, 11)))
    relay.publisher.break_after = 4
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 11))


async def test_brokers_that_go_away_while_nothing_is_pending_are_seen_too() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.target.healthy is True)
        relay.publisher.down = DOWN
        await relay.until(lambda: relay.report.target.healthy is False, seconds=10)
        relay.publisher.down = None
        await relay.until(lambda: relay.report.target.healthy is True, seconds=30)


async def test_a_database_that_is_away_is_asked_ever_more_rarely_and_its_fault_is_named() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.source.fault = SourceFault(Reason.READ_ONLY, "the server is a standby")
        await relay.until(lambda: relay.report.source.healthy is False)
        assert relay.report.source.reason == "ReadOnly"
        relay.source.fault = None
        relay.source.insert(row(1))
        await relay.until(lambda: relay.report.source.healthy is True)
        await relay.until(lambda: not relay.source.rows)


async def test_rows_that_cannot_be_settled_are_not_sent_again_and_nothing_new_is_read() -> None:
    relay = FakeRelay()
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        relay.source.settle_fault = LOST
        relay.source.insert(*(row(i) for i in range(1, 51)))
        await asyncio.sleep(120)
        assert len(set(relay.publisher.ids)) == len(relay.publisher.ids)
        assert len(relay.publisher.ids) <= 20
        relay.source.settle_fault = None
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 51))


async def test_a_paused_relay_is_ready_owns_nothing_and_reads_nothing() -> None:
    relay = FakeRelay(state="Paused")
    relay.source.insert(row(1))
    async with relay.running():
        await relay.until(lambda: relay.report.ready)
        await asyncio.sleep(60)
        assert (relay.report.state, relay.report.shards.owned, relay.source.reads) == ("Paused", [], [])
        assert relay.report.shards.members == 1


@given(seed=st.integers(0, 2**32))
@settings(max_examples=12)
def test_whatever_fails_and_whenever_no_row_is_lost_and_no_key_is_inverted(seed: int) -> None:
    import looptime

    async def scenario() -> None:
        dice = random.Random(seed)
        relay = FakeRelay(batch=dice.choice([1, 3, 10]))
        written = 0
        async with relay.running():
            for _ in range(40):
                for _ in range(dice.randrange(8)):
                    written += 1
                    relay.source.insert(row(written, dice.choice(["a", "b", "c", None])))
                relay.publisher.down = DOWN if dice.random() < 0.15 else None
                relay.publisher.break_after = dice.randrange(5) if dice.random() < 0.2 else None
                relay.source.fault = LOST if dice.random() < 0.1 else None
                relay.source.settle_fault = LOST if dice.random() < 0.1 else None
                relay.control.fault = LOST if dice.random() < 0.1 else None
                await asyncio.sleep(dice.choice([0.001, 0.02, 0.5, 3]))
            relay.publisher.down = relay.publisher.break_after = None
            relay.source.fault = relay.source.settle_fault = relay.control.fault = None
            await relay.until(lambda: not relay.source.rows, seconds=300)
        assert set(relay.publisher.ids) == set(range(1, written + 1))
        assert first_arrivals_are_ordered(relay.publisher)

    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


async def test_rows_that_were_read_behind_rows_left_in_the_table_wait_for_them() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(i, "k") for i in range(1, 61)))
    relay.publisher.leaves = 3
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 61))


class TimedSource(FakeSource):
    """Notes when reads begin, and when settlements, which take long, begin and end."""

    def __init__(self) -> None:
        super().__init__()
        self.diary: list[str] = []

    async def read(self, request: ReadRequest) -> list[Row]:
        self.diary.append("read")
        return await super().read(request)

    async def settle(self, ids: Sequence[RowId]) -> None:
        self.diary.append(f"settle {list(ids)}")
        await asyncio.sleep(0.1)
        await super().settle(ids)
        self.diary.append("settled")


@pytest.mark.parametrize(
    ("limitation", "expected"), [(None, ["settle [1]", "read"]), ("no trigger", ["settle [1]", "settled"])]
)
async def test_where_the_doorbell_works_rows_are_settled_beside_the_next_read_and_else_before_the_pause(
    limitation: str | None, expected: list[str]
) -> None:
    source = TimedSource()
    relay = FakeRelay(source=source)
    relay.doorbell.limitation = limitation
    async with relay.running():
        await asyncio.sleep(5)
        source.insert(row(1))
        relay.doorbell.ring()
        await relay.until(lambda: source.settled == [1], 5)
        begun = source.diary.index("settle [1]")
        assert source.diary[begun : begun + 2] == expected
