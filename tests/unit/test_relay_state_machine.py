"""Several relays on one table, one lock table and one topic, and whatever may happen to them, in any order.

Whatever it was: nothing committed is lost, first arrivals of a key are in order, and no shard has two owners.
"""

import asyncio
from typing import Any

import looptime
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from outboxrelay.api.names import Reason
from outboxrelay.decisions.rows import KEY, ROW_ID
from outboxrelay.errors import SourceFault, TargetFault
from tests.support.fake_control import FakeLocks
from tests.support.fake_poison import FakePoison
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_relay import FakeRelay
from tests.support.fake_source import FakeSource, row

DOWN = TargetFault(Reason.BROKER_UNAVAILABLE, "all brokers are down")
LOST = SourceFault(Reason.CONNECT_FAILED, "the connection was lost")
KEYS = ("a", "b", "c", "d", "e")
PROCESSES = 4
PAUSES = st.sampled_from([0.0, 0.001, 0.004, 0.02, 0.3, 1.5, 6.0])


class Relays(RuleBasedStateMachine):
    """The model: ids that were committed, and what arrived."""

    late = Bundle("late")

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.source, self.locks = FakeSource(), FakeLocks()
        self.store = FakePoison(self.source)
        self.arrived: list[Any] = []
        self.spoilt: set[int | str] = set()
        self.relays: list[FakeRelay] = []
        self.drawn = 0
        self.committed: set[int] = set()
        self.locked: dict[str, int] = {}
        self.down: TargetFault | None = None
        self.doubt_until = 0.0

    def run(self, pause: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(pause))

    def free_key(self, wanted: str) -> str | None:
        """Writers of one key wait for each other."""
        return None if wanted in self.locked else wanted

    @rule(key=st.sampled_from([*KEYS, None]), count=st.integers(1, 15), pause=PAUSES)
    def commit(self, key: str | None, count: int, pause: float) -> None:
        """A transaction writes rows of one key."""
        if key is not None and key in self.locked:
            return
        rows = [row(self.drawn + 1 + number, key) for number in range(count)]
        self.drawn += count
        self.committed.update(int(item[ROW_ID]) for item in rows)
        self.source.insert(*rows)
        self.run(pause)

    @rule(target=late, key=st.sampled_from(KEYS))
    def draw(self, key: str) -> Any:
        """A transaction draws an id, and stays open."""
        if key in self.locked:
            return multiple()
        self.drawn += 1
        self.locked[key] = self.drawn
        self.source.draw(self.drawn)
        return (self.drawn, key)

    @rule(open_one=consumes(late), keep=st.booleans(), pause=PAUSES)
    def end_transaction(self, open_one: tuple[int, str], keep: bool, pause: float) -> None:
        """It commits or rolls back."""
        row_id, key = open_one
        del self.locked[key]
        if keep:
            self.committed.add(row_id)
            self.source.insert(row(row_id, key))
        else:
            self.source.open_transactions.pop(row_id)
        self.run(pause)

    @precondition(lambda self: len(self.relays) < PROCESSES)
    @rule(pause=PAUSES)
    def start(self, pause: float) -> None:
        """One more process."""
        publisher = FakePublisher()
        publisher.arrived, publisher.too_large, publisher.down = self.arrived, self.spoilt, self.down
        relay = FakeRelay(self.source, publisher, self.locks, batch=7, store=self.store)

        async def begin() -> None:
            relay.stop = asyncio.Event()
            relay.process = relay.build()
            relay.task = asyncio.create_task(relay.process.run())

        self.loop.run_until_complete(begin())
        self.relays.append(relay)
        self.run(pause)

    @precondition(lambda self: self.relays)
    @rule(number=st.integers(0, PROCESSES - 1), pause=PAUSES)
    def crash(self, number: int, pause: float) -> None:
        """A process ends without a word, wherever it is; the server frees its locks at once."""
        relay = self.relays.pop(number % len(self.relays))
        relay.control.fault = LOST
        relay.control.end()
        self.loop.run_until_complete(self.cancelled(relay))
        self.run(pause)

    async def cancelled(self, relay: FakeRelay) -> None:
        """Its last breath."""
        relay.task.cancel()
        await asyncio.wait({relay.task})

    @precondition(lambda self: self.relays)
    @rule(number=st.integers(0, PROCESSES - 1), pause=PAUSES)
    def leave(self, number: int, pause: float) -> None:
        """A process is asked to stop."""
        relay = self.relays.pop(number % len(self.relays))
        self.loop.run_until_complete(relay.end())
        self.run(pause)

    @precondition(lambda self: self.relays)
    @rule(number=st.integers(0, PROCESSES - 1), pause=PAUSES)
    def lose_the_session(self, number: int, pause: float) -> None:
        """The server ends a control session; its locks are free, and the process finds out at its next heartbeat."""
        self.relays[number % len(self.relays)].control.end()
        self.doubt_until = self.loop.time() + 3
        self.run(pause)

    @rule(seconds=st.sampled_from([0.01, 1.0, 20.0]), settle_only=st.booleans())
    def database_away(self, seconds: float, settle_only: bool) -> None:
        """Reads or settles fail for a while."""
        self.source.settle_fault = LOST
        if not settle_only:
            self.source.fault = self.store.fault = LOST
        self.run(seconds)
        self.source.fault = self.source.settle_fault = self.store.fault = None

    @rule(seconds=st.sampled_from([0.01, 1.0, 20.0]), sent=st.integers(0, 7))
    def brokers_away(self, seconds: float, sent: int) -> None:
        """The brokers go while a batch is on its way, and come back."""
        for relay in self.relays:
            relay.publisher.break_after, relay.publisher.down = sent, DOWN
        self.down = DOWN
        self.run(seconds)
        self.down = None
        for relay in self.relays:
            relay.publisher.break_after = relay.publisher.down = None

    @precondition(lambda self: self.relays)
    @rule(number=st.integers(0, PROCESSES - 1), sent=st.integers(0, 7), pause=PAUSES)
    def leave_rows_behind(self, number: int, sent: int, pause: float) -> None:
        """A batch is cut short for no fault of its rows."""
        self.relays[number % len(self.relays)].publisher.leaves = sent
        self.run(pause)

    @rule(choice=st.integers(0, 10**6), mend=st.booleans(), pause=PAUSES)
    def spoil_or_mend(self, choice: int, mend: bool, pause: float) -> None:
        """A row cannot be sent, or can again."""
        if mend:
            self.spoilt.clear()
        elif self.source.rows:
            pending = sorted(self.source.rows, key=int)
            self.spoilt.add(pending[choice % len(pending)])
        self.run(pause)

    @invariant()
    def nothing_is_sent_twice_in_the_wrong_order(self) -> None:
        """First arrivals of a key are in the order of its ids."""
        seen: set[int] = set()
        last: dict[str, int] = {}
        for item in self.arrived:
            row_id, key = int(item[ROW_ID]), item[KEY]
            if row_id in seen:
                continue
            seen.add(row_id)
            if key is not None:
                assert row_id > last.get(key, 0), f"row {row_id} of key {key} after {last[key]}"
                last[key] = row_id
        assert seen <= self.committed, "what was never committed must not arrive"

    @invariant()
    def no_shard_has_two_owners(self) -> None:
        """A process may believe so for a moment after it lost its session, not longer."""
        if self.loop.time() < self.doubt_until:
            return
        owned = [shard for relay in self.relays for shard in relay.process.ownership.owned]
        assert len(owned) == len(set(owned))

    @invariant()
    def no_process_ended_by_itself(self) -> None:
        """Faults outside end none."""
        for relay in self.relays:
            assert not relay.task.done(), relay.task

    def teardown(self) -> None:
        """When all is well again, everything that was committed arrives and leaves the table."""
        try:
            self.spoilt.clear()
            for row_id in self.locked.values():
                self.source.open_transactions.pop(row_id, None)
            if not self.relays:
                self.start(0.0)
            self.loop.run_until_complete(self.relays[0].until(lambda: not self.source.rows, seconds=5000))
            assert {int(item[ROW_ID]) for item in self.arrived} == self.committed
            self.nothing_is_sent_twice_in_the_wrong_order()
            for relay in self.relays:
                self.loop.run_until_complete(relay.end())
        finally:
            self.loop.close()
            asyncio.set_event_loop(None)


Relays.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestRelays = Relays.TestCase
