"""Rows that cannot be sent, topics that take nothing, and rows that end the process: the relay on fakes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.decisions.poison import Failure
from outboxrelay.decisions.rows import ReadRequest, Row, RowId
from outboxrelay.errors import SourceFault, TargetFault
from tests.support.fake_poison import FakePoison
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

pytestmark = pytest.mark.looptime

ROUTED = {"topicTemplate": "{topic}", "allowedTopics": ["*"]}
DEAD_LETTERS = {"action": "DeadLetterTopic", "deadLetterTopic": "dead"}
LOST = SourceFault(Reason.CONNECT_FAILED, "the connection was lost")


async def test_a_quarantined_row_leaves_the_table_whole_and_its_key_goes_on() -> None:
    relay = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 3})
    relay.publisher.too_large = {2}
    relay.source.insert(row(1), row(2), row(3))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
        await relay.until(lambda: relay.report.quarantine.rows == 1)
        assert relay.report.held.keys == 0
    assert relay.store
    assert relay.publisher.ids == [1, 3]
    assert relay.store.quarantine_rows[2][1].reason == "RowTooLarge"
    assert sum(2 in batch for batch in relay.publisher.batches) == 3


async def test_beyond_the_limit_of_quarantine_keys_are_held_and_it_is_said() -> None:
    relay = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 1, "maxQuarantinedRows": 1})
    relay.publisher.too_large = {1, 3}
    relay.source.insert(row(1, "a"), row(2, "a"), row(3, "b"), row(4, "b"), row(5, "c"))
    async with relay.running():
        await relay.until(lambda: relay.report.quarantine.limit_reached)
        await asyncio.sleep(30)
        assert relay.report.held.keys == 1
    assert sorted(relay.source.rows) == [3, 4]


async def test_without_the_tables_rows_are_held_instead_of_quarantined_and_it_is_said() -> None:
    relay = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 1})
    assert relay.store
    relay.store.missing = True
    relay.publisher.too_large = {1}
    relay.source.insert(row(1), row(2), row(3, "other"))
    async with relay.running():
        await relay.until(lambda: relay.publisher.ids == [3])
        await asyncio.sleep(30)
        assert relay.report.held.keys == 1
        assert relay.report.limitations == ["schema outboxrelay is missing"]
    assert sorted(relay.source.rows) == [1, 2]


async def test_a_dead_letter_carries_its_cause_and_attempts_and_leaves_the_table() -> None:
    relay = FakeRelay(poison={**DEAD_LETTERS, "maxAttempts": 2})
    relay.publisher.too_large = {2}
    relay.source.insert(row(1), row(2), row(3))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
    assert relay.publisher.ids == [1, 3]
    [letter] = relay.publisher.buried
    assert (letter.row[0], letter.refusal.reason, letter.attempts) == (2, Reason.ROW_TOO_LARGE, 2)


class CountingSource(FakeSource):
    """Remembers how often each row was read."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[RowId] = Counter()

    async def read(self, request: ReadRequest) -> list[Row]:
        found = await super().read(request)
        self.times.update(item[0] for item in found)
        return found


@pytest.mark.parametrize("action", ["HoldKey", "Quarantine"])
async def test_a_row_that_is_held_or_moved_makes_no_row_of_another_key_be_read_twice(action: str) -> None:
    source = CountingSource()
    relay = FakeRelay(source, poison={"action": action, "maxAttempts": 1})
    relay.publisher.too_large = {5, 25, 45}
    source.insert(*(row(n, f"k{n % 5}") for n in range(1, 101)))
    others = {n for n in range(1, 101) if n % 5}
    async with relay.running():
        await relay.until(lambda: others <= set(relay.publisher.ids))
        await relay.until(lambda: relay.report.held.keys == 1 or not source.rows)
    assert {n: source.times[n] for n in others if source.times[n] != 1} == {}


class CountingPoison(FakePoison):
    """Remembers how many attempts were written down at a time."""

    def __init__(self, source: FakeSource) -> None:
        super().__init__(source)
        self.written: list[int] = []

    async def failed(self, failures: Sequence[Failure]) -> dict[RowId, int]:
        self.written.append(len(failures))
        return await super().failed(failures)


async def test_a_busy_relay_writes_the_attempts_of_many_batches_down_at_once_and_soon() -> None:
    source = FakeSource()
    store = CountingPoison(source)
    relay = FakeRelay(source, store=store)
    relay.publisher.too_large = set(range(5, 101, 10))
    source.insert(*(row(n, f"k{n}") for n in range(1, 101)))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 10)
        await asyncio.sleep(1)
    assert store.written == [10]


async def test_attempts_are_written_down_though_full_batches_never_end() -> None:
    source = FakeSource()
    relay = FakeRelay(source, FakePublisher(delay=0.2))
    relay.publisher.too_large = {5}
    source.insert(*(row(n, f"k{n}") for n in range(1, 1001)))
    async with relay.running():
        await relay.until(lambda: bool(relay.store and relay.store.attempts), seconds=3)
        assert len(source.rows) > 800


async def test_attempts_are_counted_over_restarts() -> None:
    relay = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 4})
    relay.publisher.too_large = {1}
    relay.source.insert(row(1))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        await asyncio.sleep(1)
    assert relay.store
    tried = relay.store.attempts[1].finished
    second = FakeRelay(
        relay.source, relay.publisher, store=relay.store, poison={"action": "Quarantine", "maxAttempts": 4}
    )
    async with second.running():
        await second.until(lambda: not relay.source.rows)
    assert 1 <= tried < 4
    assert sum(1 in batch for batch in relay.publisher.batches) == 4


async def test_what_is_remembered_of_a_row_is_forgotten_when_it_is_delivered() -> None:
    relay = FakeRelay()
    assert relay.store
    relay.publisher.too_large = {1}
    relay.source.insert(row(1), row(2))
    async with relay.running():
        await relay.until(lambda: bool(relay.store and relay.store.attempts))
        relay.publisher.too_large = set()
        await relay.until(lambda: not relay.source.rows)
        await relay.until(lambda: not (relay.store and relay.store.attempts))
    assert relay.publisher.ids == [1, 2]


async def test_a_missing_topic_holds_up_its_own_rows_only_and_they_follow_in_order_when_it_is_there() -> None:
    relay = FakeRelay(target=ROUTED)
    relay.publisher.missing = {"gone"}
    relay.source.insert(*(row(i, f"k{i % 3}", topic="gone" if i % 4 == 0 else "here") for i in range(1, 101)))
    async with relay.running():
        await relay.until(lambda: len(relay.source.rows) == 25)
        await asyncio.sleep(30)
        assert [topic.topic for topic in relay.report.blocked_topics] == ["gone"]
        assert relay.report.delivery.circuit == "Closed"
        sent = len(relay.publisher.batches)
        relay.source.insert(row(101, "k0", topic="here"))
        await relay.until(lambda: 101 in relay.publisher.ids, seconds=2)
        assert len(relay.publisher.batches) == sent + 1, "rows of the missing topic are not tried"
        relay.publisher.missing = set()
        await relay.until(lambda: not relay.source.rows)
        assert relay.report.blocked_topics == []
    late = [i for i in relay.publisher.ids if int(i) % 4 == 0]
    assert late == sorted(late)


async def test_with_one_row_of_a_key_in_flight_no_batch_holds_two() -> None:
    relay = FakeRelay(ordering={"inFlightPerKey": "One"})
    relay.source.insert(*(row(i, f"k{i % 3}") for i in range(1, 61)))
    async with relay.running():
        await relay.until(lambda: not relay.source.rows)
    keys = {i: f"k{i % 3}" for i in range(1, 61)}
    assert all(len({keys[int(i)] for i in batch}) == len(batch) for batch in relay.publisher.batches)
    assert sorted(relay.publisher.ids) == list(range(1, 61))


async def test_strict_order_waits_for_a_row_that_cannot_be_sent() -> None:
    relay = FakeRelay(ordering={"mode": "Strict", "shards": 1})
    relay.publisher.too_large = {5}
    relay.source.insert(*(row(i, f"k{i}") for i in range(1, 11)))
    async with relay.running():
        await relay.until(lambda: relay.report.held.keys == 1)
        await asyncio.sleep(20)
        arrived = list(relay.publisher.ids)
        relay.publisher.too_large = set()
        await relay.until(lambda: not relay.source.rows)
    assert 6 not in arrived or arrived.index(6) > 3
    assert {5, *arrived} <= set(relay.publisher.ids)


@asynccontextmanager
async def killed_by(source: FakeSource, store_of: FakeRelay, rows: set[int | str]) -> AsyncIterator[FakeRelay]:
    """A process that ends without a word when it sends one of ``rows``; the next one comes after it."""
    publisher = FakePublisher()
    publisher.ends_process = rows
    relay = FakeRelay(source, publisher, store=store_of.store, poison=store_of.poison)
    relay.process = relay.build()
    relay.task = asyncio.create_task(relay.process.run())
    try:
        yield relay
    finally:
        store = relay.store
        assert store
        store.fault = SourceFault(Reason.CONNECT_FAILED, "the process is gone")
        relay.task.cancel()
        await asyncio.wait({relay.task})
        relay.control.end()
        store.fault = None


async def test_a_row_that_ends_the_process_is_found_moved_aside_and_takes_no_other_with_it() -> None:
    head = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 3})
    source = head.source
    source.insert(*(row(i, f"k{i % 7}") for i in range(1, 41)))
    arrived: list[int | str] = []
    deaths = 0
    for _ in range(12):
        async with killed_by(source, head, {17}) as relay:
            gone = asyncio.create_task(relay.publisher.ended.wait())
            drained = asyncio.create_task(relay.until(lambda: not source.rows, seconds=300))
            await asyncio.wait({gone, drained}, return_when=asyncio.FIRST_COMPLETED)
            deaths += gone.done()
            for task in (gone, drained):
                task.cancel()
            await asyncio.wait({gone, drained})
            arrived += relay.publisher.ids
        if not source.rows:
            break
    assert not source.rows
    assert head.store
    assert list(head.store.quarantine_rows) == [17]
    assert head.store.quarantine_rows[17][1].reason == "RowEndsProcess"
    assert set(arrived) == set(range(1, 41)) - {17}
    assert deaths <= 5


async def test_a_broker_that_is_away_counts_no_attempts() -> None:
    relay = FakeRelay()
    relay.publisher.down = TargetFault(Reason.BROKER_UNAVAILABLE, "gone")
    relay.source.insert(row(1))
    async with relay.running():
        await asyncio.sleep(60)
        assert relay.store
        assert relay.store.attempts == {}
        relay.publisher.down = None
        await relay.until(lambda: not relay.source.rows)


async def test_a_database_that_forgets_nothing_while_it_is_away_loses_no_row() -> None:
    relay = FakeRelay(poison={"action": "Quarantine", "maxAttempts": 2})
    assert relay.store
    relay.publisher.too_large = {3}
    relay.source.insert(*(row(i) for i in range(1, 6)))
    async with relay.running():
        relay.store.fault = LOST
        await asyncio.sleep(20)
        relay.store.fault = None
        await relay.until(lambda: not relay.source.rows)
    assert set(relay.publisher.ids) == {1, 2, 4, 5}
