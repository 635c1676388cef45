"""What waits, waits for one row: how held rows, blocked topics and suspicion end, and that they cost nobody else."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.decisions.outcomes import Delivered, Outcome, Refusal, Refused
from outboxrelay.decisions.poison import Attempts
from outboxrelay.decisions.retries import BackoffPolicy
from outboxrelay.decisions.rows import KEY, ROW_ID, Row, RowId
from outboxrelay.errors import RowsLocked, SourceFault, TargetFault, TopicFault
from outboxrelay.relay.held import LOOK_SECONDS, HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime

ROUTED = {"topicTemplate": "{topic}", "allowedTopics": ["*"]}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOST = SourceFault(Reason.CONNECT_FAILED, "the connection was lost")


def refusal(row_id: RowId) -> Refusal:
    return Refusal(row_id, Reason.ROW_TOO_LARGE, "too large")


def test_of_two_refused_rows_of_a_key_only_the_first_is_held() -> None:
    held = HeldKeys(lambda _: 60.0)
    held.hold([row(1, "k"), row(5, "k"), row(6, "other")], [refusal(6), refusal(5), refusal(1)], 0.0, NOW)
    assert held.due(60.0) == [1, 6]
    assert not held.is_held(5)
    held.release([1])
    assert held.keys == ["other"], "what is behind row 1 is read anew, row 5 included"


def test_a_row_that_comes_before_the_held_one_takes_its_place() -> None:
    held = HeldKeys(lambda _: 60.0)
    held.hold([row(5, "k")], [refusal(5)], 0.0, NOW)
    held.hold([row(1, "k")], [refusal(1)], 0.0, NOW)
    assert held.due(60.0) == [1]


def test_a_held_row_whose_key_was_changed_frees_the_old_one() -> None:
    held = HeldKeys(lambda _: 60.0)
    held.hold([row(1, "old")], [refusal(1)], 0.0, NOW)
    held.hold([row(1, "new")], [refusal(1)], 0.0, NOW)
    assert held.keys == ["new"]


def test_how_long_a_row_waits_is_not_for_attempts_of_others() -> None:
    held = HeldKeys(lambda tries: 60.0 * tries)
    held.hold([row(1, "k")], [refusal(1)], 0.0, NOW)
    held.counted(1, 7, never=False)
    assert held.due(60.0) == [1]
    held.hold([row(1, "k")], [refusal(1)], 60.0, NOW)
    assert held.due(179.0) == []
    assert held.due(180.0) == [1]
    assert held.attempts(1) == 8


class Brokers(FakePublisher):
    """As the real ones: a row may be refused before it is sent, and one before it by a broker afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.refused_by_broker: set[RowId] = set()

    def _take(self, rows: list[Row]) -> Outcome:  # type: ignore[override]
        refusals, away = [], set()
        for refused in (self.too_large, self.refused_by_broker):
            stopped: set[str | None] = set()
            for item in rows:
                if item[ROW_ID] in away:
                    continue
                if item[KEY] in stopped:
                    away.add(item[ROW_ID])
                elif item[ROW_ID] in refused:
                    refusals.append(refusal(item[ROW_ID]))
                    away.add(item[ROW_ID])
                    stopped.add(item[KEY])
        self.arrived += [item for item in rows if item[ROW_ID] not in away]
        named = {item.row_id for item in refusals}
        return Refused(tuple(refusals), frozenset(away - named), 0) if away else Delivered()


async def test_a_key_with_two_refused_rows_stays_in_order_when_both_are_mended() -> None:
    brokers = Brokers()
    brokers.too_large, brokers.refused_by_broker = {5}, {1}
    relay = FakeRelay(publisher=brokers)
    relay.source.insert(*(row(number, "k") for number in range(1, 8)))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        await asyncio.sleep(5)
        brokers.too_large, brokers.refused_by_broker = set(), set()
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == [1, 2, 3, 4, 5, 6, 7]


async def test_a_second_refused_row_of_a_key_is_not_tried_in_a_loop() -> None:
    brokers = Brokers()
    brokers.too_large, brokers.refused_by_broker = {5}, {1}
    relay = FakeRelay(publisher=brokers)
    relay.source.insert(*(row(number, "k") for number in range(1, 8)))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        del relay.source.rows[1]
        await relay.until(lambda: 4 in relay.publisher.ids, seconds=2 * LOOK_SECONDS)
        before = len(relay.publisher.batches)
        await asyncio.sleep(30)
        assert sum(5 in batch for batch in relay.publisher.batches[before:]) <= 1


async def test_what_waited_for_a_row_whose_key_was_changed_goes_on_in_order() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {1}
    relay.source.insert(row(1, "old"), row(2, "old"), row(3, "old"))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        relay.source.rows[1] = row(1, "new")
        await asyncio.sleep(58)
        relay.source.insert(row(4, "old"))
        await relay.until(lambda: 4 in relay.publisher.ids, seconds=10)
    assert relay.publisher.ids == [2, 3, 4]


async def test_rows_that_wait_for_their_key_take_nothing_of_the_rate() -> None:
    relay = FakeRelay(flow={"maxRowsPerSecond": 100})
    relay.publisher.too_large = {1}
    relay.source.insert(row(1, "k"))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        await asyncio.sleep(5)
        relay.source.insert(*(row(number, "k") for number in range(2, 1002)), row(1002, "other"))
        await relay.until(lambda: relay.publisher.ids == [1002], seconds=3)


async def test_a_held_row_whose_topic_is_gone_stops_nobody_else() -> None:
    relay = FakeRelay(target=ROUTED)
    relay.publisher.too_large = {1}
    relay.source.insert(row(1, "a", topic="old"), row(2, "b", topic="new"))
    async with relay.running():
        await relay.until(lambda: relay.publisher.ids == [2])
        relay.publisher.missing = {"old"}
        await asyncio.sleep(61)
        before = len(relay.publisher.batches)
        relay.source.insert(*(row(number, "c", topic="new") for number in range(3, 10)))
        await asyncio.sleep(30)
        assert relay.publisher.ids == list(range(2, 10))
        assert len(relay.publisher.batches) - before < 15


async def test_every_blocked_topic_is_looked_at_again() -> None:
    relay = FakeRelay()

    class Probe(FakePublisher):
        async def check_topic(self, topic: str) -> TargetFault | None:
            return None if topic == "t99" else TopicFault(Reason.TOPIC_NOT_FOUND, "gone", topic)

    lanes = TopicLanes(Probe(), BackoffPolicy(0.2, 15.0, 2.0), relay.clock)
    for number in range(100):
        lanes.block(TopicFault(Reason.TOPIC_NOT_FOUND, "gone", f"t{number}"))
    for _ in range(120):
        await asyncio.sleep(1)
        if lanes.is_due:
            await lanes.probe()
    assert "t99" not in lanes


async def test_a_shard_that_moved_takes_its_held_rows_with_it() -> None:
    first = FakeRelay()
    first.publisher.too_large = {1, 2, 3, 4}
    first.source.insert(*(row(number, f"k{number}") for number in range(1, 5)))
    second = FakeRelay(first.source, first.publisher, first.locks, store=first.store)
    async with first.running():
        await first.until(lambda: first.report.held.keys == 4)
        async with second.running():
            await second.until(lambda: second.report.held.keys == 2)
            await first.until(lambda: first.report.held.keys == 2)
            first.publisher.too_large = set()
            await first.until(lambda: not first.source.rows, seconds=700)
    assert sorted(first.publisher.ids) == [1, 2, 3, 4]


async def test_a_shard_that_was_away_for_a_moment_has_its_held_rows_looked_at_anew() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {1}
    relay.source.insert(row(1, "k"), row(2, "k"))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        ownership = relay.process.ownership
        away = ownership.owned
        ownership.drain(away)
        # Whoever had it saw to the row.
        del relay.source.rows[1]
        ownership.released()
        ownership.gain(away)
        await relay.until(lambda: 2 in relay.publisher.ids, seconds=10)


async def test_a_held_row_is_not_tried_again_once_its_shard_is_given_back() -> None:
    relay = FakeRelay()
    relay.publisher.too_large = {1, 2, 3, 4}
    relay.source.insert(*(row(number, f"k{number}") for number in range(1, 5)))
    look, read = relay.source.still_pending, relay.source.read_rows
    foreign: list[RowId] = []

    async def still_pending(ids: Collection[RowId]) -> frozenset[RowId]:
        found = await look(ids)
        relay.process.ownership.drain(frozenset({0, 1}))
        return found

    async def read_rows(ids: Collection[RowId]) -> list[Row]:
        found = await read(ids)
        owned = relay.process.ownership.owned
        foreign.extend(item[ROW_ID] for item in found if relay.source.shard(item) not in owned)
        return found

    relay.source.still_pending, relay.source.read_rows = still_pending, read_rows  # type: ignore[method-assign]
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 4)
        relay.publisher.too_large = set()
        await relay.until(lambda: not relay.source.rows, seconds=700)
    assert foreign == []


async def test_a_row_that_ended_the_process_and_was_moved_aside_by_hand_frees_its_key() -> None:
    relay = FakeRelay()
    assert relay.store is not None
    relay.store.attempts[1] = Attempts(1, "k", 3, 0)
    relay.source.insert(row(1, "k"), row(2, "k"), row(3, "other"))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        assert relay.publisher.ids == [3]
        del relay.source.rows[1]
        await relay.until(lambda: 2 in relay.publisher.ids, seconds=LOOK_SECONDS + 10)


async def test_attempts_of_rows_that_never_come_up_slow_nobody_down() -> None:
    relay = FakeRelay(batch=100)
    assert relay.store is not None
    relay.store.attempts[10**6] = Attempts(10**6, "k", 1, 0)
    relay.source.insert(*(row(number, f"k{number % 7}") for number in range(1, 5001)))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows, seconds=600)
    assert max(len(batch) for batch in relay.publisher.batches[-10:]) == 100


async def test_a_suspect_that_comes_up_goes_alone_and_is_written_down() -> None:
    relay = FakeRelay(batch=100)
    assert relay.store is not None
    relay.store.attempts[7] = Attempts(7, "k", 1, 0)
    relay.source.insert(*(row(number, f"k{number % 7}") for number in range(1, 30)))
    async with relay.running():
        # Those beside it are read again at once, not by a sweep.
        await relay.until(lambda: not relay.source.rows, seconds=5)
        assert [7] in relay.publisher.batches
        await relay.until(lambda: not relay.store.attempts)  # type: ignore[union-attr]


async def test_what_goes_without_a_suspect_of_the_same_read_goes_once() -> None:
    relay = FakeRelay(batch=100)
    assert relay.store is not None
    relay.store.attempts[327] = Attempts(327, "k", 1, 0)
    async with relay.running():
        relay.source.insert(*(row(number, f"k{number % 7}") for number in range(1, 310)))
        await relay.until(lambda: not relay.source.rows)
        relay.source.insert(*(row(number, f"k{number % 7}") for number in range(310, 340)))
        await relay.until(lambda: not relay.source.rows, seconds=5)
        assert [327] in relay.publisher.batches
        sent = [row_id for batch in relay.publisher.batches for row_id in batch]
        assert sorted(sent) == list(range(1, 340))


async def test_a_sequence_that_begins_again_is_followed() -> None:
    relay = FakeRelay()
    relay.source.insert(*(row(number) for number in range(1, 101)))
    async with relay.running():
        await relay.until(lambda: relay.report.floor == 101)
        waits = []
        for number in range(1, 6):
            await asyncio.sleep(27.3)
            began, before = asyncio.get_running_loop().time(), len(relay.publisher.arrived)
            relay.source.insert(row(number, payload="new"))
            await relay.until(lambda: len(relay.publisher.arrived) > before)  # noqa: B023 - awaited in this round
            waits.append(asyncio.get_running_loop().time() - began)
    assert max(waits[1:]) < 2.0, "only the first one waits for the sweep"


@pytest.mark.parametrize("control_too", [True, False])
async def test_an_id_that_a_failover_gave_to_another_event_is_not_settled_undelivered(control_too: bool) -> None:
    relay = FakeRelay()
    relay.source.insert(row(1, payload="old"))
    relay.source.settle_fault = LOST
    async with relay.running():
        await relay.until(lambda: relay.publisher.ids == [1])
        await asyncio.sleep(0.2)
        relay.source.fault = LOST
        if control_too:
            relay.control.fault = LOST
        await asyncio.sleep(2)
        # A standby that never got row 1 takes over, and its sequence gives 1 to the next event.
        relay.source.rows = {1: row(1, payload="new")}
        relay.source.server = "the standby"
        relay.source.fault = relay.control.fault = relay.source.settle_fault = None
        await relay.until(lambda: not relay.source.rows)
    assert "new" in [item[4] for item in relay.publisher.arrived]


async def test_delivered_rows_that_somebody_else_has_locked_hold_up_nobody_and_go_when_they_are_free() -> None:
    locked: set[RowId] = {3, 11}

    class Table(FakeSource):
        async def settle(self, ids: list[RowId]) -> None:  # type: ignore[override]
            if locked.intersection(ids):
                await asyncio.sleep(0.3)
                raise RowsLocked(Reason.TIMEOUT, "canceling statement due to lock timeout")
            await super().settle(ids)

    relay = FakeRelay(source=Table(), batch=100)
    relay.source.insert(*(row(number, "a") for number in range(1, 21)))
    async with relay.running():
        await relay.until(lambda: set(relay.source.rows) == {3, 11})
        relay.source.insert(*(row(number, "b") for number in range(21, 31)))
        await relay.until(lambda: set(relay.source.rows) == {3, 11})
        await asyncio.sleep(20)
        assert "delivered rows" in " ".join(relay.report.notices)
        locked.clear()
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == list(range(1, 31)), "nothing is sent again"
