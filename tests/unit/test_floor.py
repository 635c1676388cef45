"""The floor: never above a row that can still appear, never an inversion for writers that lock their aggregate."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from outboxrelay.decisions.floor import SETTLE_SECONDS, Floor, Snapshot, after_read, after_snapshot, lowered
from outboxrelay.decisions.front import Front, first_front, next_front


def established(low: int, at: float = 0.0) -> Floor:
    floor = after_read(Floor(), low, low, at)
    floor = after_snapshot(floor, Snapshot(10, 20, frozenset("a")), at + SETTLE_SECONDS)
    floor = after_snapshot(floor, Snapshot(20, 20, frozenset()), at + SETTLE_SECONDS + 1)
    return after_read(floor, low, low, at + SETTLE_SECONDS + 2)


def test_a_floor_needs_time_then_the_end_of_every_transaction_that_ran_then_then_one_more_read() -> None:
    floor = after_read(Floor(), 100, 200, 0.0)
    writing = frozenset("ab")
    floor = after_snapshot(floor, Snapshot(50, 60, frozenset()), SETTLE_SECONDS - 0.1)
    assert floor.candidate is not None
    assert floor.candidate.xmax is None
    floor = after_snapshot(floor, Snapshot(50, 60, writing), SETTLE_SECONDS)
    floor = after_snapshot(floor, Snapshot(59, 70, writing), 10.0)
    assert not floor.candidate.clear  # type: ignore[union-attr]
    floor = after_snapshot(floor, Snapshot(60, 70, writing), 11.0)
    assert floor.value is None
    assert after_read(floor, 150, 300, 12.0).value == 100
    assert after_read(floor, 90, 300, 12.0).value == 90


def test_who_writes_to_other_tables_holds_no_floor_back() -> None:
    floor = after_read(Floor(), 100, 200, 0.0)
    floor = after_snapshot(floor, Snapshot(50, 60, frozenset("ab")), SETTLE_SECONDS)
    floor = after_snapshot(floor, Snapshot(50, 70, frozenset("bc")), 10.0)
    assert not floor.candidate.clear  # type: ignore[union-attr]
    floor = after_snapshot(floor, Snapshot(50, 80, frozenset("cd")), 11.0)
    assert after_read(floor, 150, 300, 12.0).value == 100


def test_a_floor_is_clear_at_once_when_nobody_writes() -> None:
    floor = after_snapshot(after_read(Floor(), 100, 200, 0.0), Snapshot(50, 60, frozenset()), SETTLE_SECONDS)
    assert after_read(floor, 150, 300, 12.0).value == 100


def test_with_nothing_pending_the_floor_is_above_the_highest_id_seen() -> None:
    floor = after_read(Floor(), None, 7, 0.0)
    assert floor.candidate is not None
    assert floor.candidate.low == 8


def test_an_empty_table_that_never_had_a_row_gives_no_floor() -> None:
    assert after_read(Floor(), None, None, 0.0) == Floor()


def test_a_row_below_the_floor_resets_it() -> None:
    assert established(100).value == 100
    assert after_read(established(100), 40, 200, 99.0).value is None


def test_a_row_that_takes_part_again_lowers_the_floor() -> None:
    assert lowered(established(100), 40).value == 40
    assert lowered(established(100), 400).value == 100
    assert lowered(Floor(), 40).value is None


@dataclass
class World:
    """A table with writers that draw an id, get a transaction id, and commit much later; one reader with a floor.

    Writers lock their key (its aggregate) before they insert, as services do. Others hold transactions open and write
    elsewhere.
    """

    dice: random.Random
    failing: float = 0.1
    """Share of batches that are not sent."""
    now: float = 0.0
    next_id: int = 1
    next_xid: int = 1
    open: dict[int, tuple[int, str, float]] = field(default_factory=dict)
    """xid → (id, key, when it was begun)"""
    elsewhere: set[int] = field(default_factory=set)
    committed: dict[int, str] = field(default_factory=dict)
    floor: Floor = field(default_factory=Floor)
    front: Front | None = None
    flying: list[int] = field(default_factory=list)
    """Read and not settled yet."""
    sent: list[tuple[str, int]] = field(default_factory=list)
    written: set[int] = field(default_factory=set)
    passed: int = 0
    """Dead rows that reads behind a front had to pass."""
    dead: set[int] = field(default_factory=set)

    def begin(self) -> None:
        locked = {key for _, key, _ in self.open.values()}
        free = [key for key in "abcd" if key not in locked]
        if free:
            self.open[self.next_xid] = (self.next_id, self.dice.choice(free), self.now)
            self.next_xid += 1
            self.next_id += 1

    def write_elsewhere(self) -> None:
        self.elsewhere = {self.next_xid}
        self.next_xid += 1

    def end(self) -> None:
        if self.open:
            xid = self.dice.choice(list(self.open))
            row_id, key, _ = self.open.pop(xid)
            if self.dice.random() < 0.8:
                self.committed[row_id] = key
                self.written.add(row_id)

    def read(self) -> None:
        """All of what a read asks for, and then what the reader learns, as relay.reader does it."""
        front, floor = self.front, self.floor.value
        sweep = self.dice.random() < 0.05
        if front is None or sweep:
            asked = [(floor if floor is not None and not sweep else 0, 10**9)]
        else:
            asked = [*front.gaps, (front.highest + 1, 10**9)]
            self.passed = sum(low <= row_id <= high for row_id in self.dead for low, high in asked)
        left_out = self.flying if front is None or sweep or not front.exact else []
        found = sorted(i for i in self.committed if i not in left_out and any(low <= i <= high for low, high in asked))[
            : self.dice.choice([1, 2, 50])
        ]
        assert not set(found) & set(self.flying), "sent twice"
        pending = [*found, *self.flying]
        self.floor = after_read(self.floor, min(pending, default=None), max(pending, default=None), self.now)
        start = self.floor.value or 0
        after = None if front is None else next_front(front, found, start)
        after = after or first_front([*self.flying, *found], start)
        self.settle()
        if found and self.dice.random() < self.failing:
            # The batch is not sent, and it is not known what else is left in the table.
            self.front = None
            return
        self.front = after
        for row_id in found:
            self.sent.append((self.committed[row_id], row_id))
            self.flying.append(row_id)

    def settle(self) -> None:
        for row_id in self.flying:
            del self.committed[row_id]
            self.dead.add(row_id)
        self.flying.clear()

    def snapshot(self) -> None:
        oldest = min([*self.open, *self.elsewhere], default=self.next_xid)
        writers = frozenset(str(xid) for xid in self.open)
        self.floor = after_snapshot(self.floor, Snapshot(oldest, self.next_xid, writers), self.now)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_no_row_is_missed_and_no_key_is_inverted_while_the_floor_advances(seed: int) -> None:
    world = World(random.Random(seed))
    advanced = set()
    for _ in range(300):
        world.now += world.dice.choice([0.01, 0.5, 2.0])
        world.dice.choice([world.begin, world.end, world.read, world.snapshot, world.read, world.write_elsewhere])()
        advanced.add(world.floor.value)
    while world.open:
        world.end()
    for _ in range(200):
        world.read()
    world.settle()
    assert not world.committed, f"rows below the floor {world.floor.value} or the front {world.front}"
    assert {row_id for _, row_id in world.sent} == world.written
    for wanted in "abcd":
        ids = [row_id for key, row_id in world.sent if key == wanted]
        assert ids == sorted(ids)


def test_the_simulated_floor_does_advance() -> None:
    """Else the test above would prove nothing."""
    world = World(random.Random(5))
    for _ in range(400):
        world.now += 0.5
        for step in (world.begin, world.begin, world.end, world.end, world.read, world.read, world.snapshot):
            step()
    assert world.floor.value is not None
    assert world.floor.value > 100


def test_behind_a_front_no_dead_row_is_passed_however_long_a_transaction_is_open() -> None:
    world = World(random.Random(7), failing=0.0)
    world.begin()
    [forgotten] = world.open
    for _ in range(500):
        world.now += 0.5
        for step in (world.begin, world.begin, world.read, world.snapshot):
            step()
        for xid in [xid for xid in world.open if xid != forgotten]:
            row_id, key, _ = world.open.pop(xid)
            world.committed[row_id] = key
    assert len(world.dead) > 500
    assert world.floor.value is None, "the forgotten transaction may still commit the lowest id of all"
    assert world.passed == 0
