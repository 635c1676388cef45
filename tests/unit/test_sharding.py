"""Shares of the key space: fair, complete, and reached by every member on its own."""

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.sharding import Holding, fair_share, free_member, lock_base, plan


@given(shards=st.integers(1, 256), members=st.integers(1, 64))
def test_shares_differ_by_at_most_one_and_add_up_to_all_shards(shards: int, members: int) -> None:
    shares = [fair_share(shards, members, rank) for rank in range(members)]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1


@given(shards=st.integers(1, 64), numbers=st.sets(st.integers(0, 200), min_size=1, max_size=8), data=st.data())
def test_members_that_only_look_at_the_locks_end_with_fair_shares_of_everything(
    shards: int, numbers: set[int], data: st.DataObject
) -> None:
    members = tuple(sorted(numbers))
    owner: dict[int, int] = {}
    for shard in range(shards):
        if data.draw(st.booleans()):
            owner[shard] = data.draw(st.sampled_from(members))
    for _ in range(2 * len(members) + 2):
        for member in data.draw(st.permutations(members)):
            mine = {shard for shard, holder in owner.items() if holder == member}
            steps = plan(shards, Holding(members, dict(owner)), member, mine, taking=True)
            for shard in steps.release:
                del owner[shard]
            for shard in steps.acquire:
                assert owner.setdefault(shard, member) == member
    counts = sorted(sum(1 for holder in owner.values() if holder == member) for member in members)
    assert len(owner) == shards
    assert counts[-1] - counts[0] <= 1


def test_a_paused_member_gives_everything_back_and_takes_nothing() -> None:
    steps = plan(4, Holding((0,), {0: 1, 1: 1}), 0, {0, 1}, taking=False)
    assert (steps.release, steps.acquire) == ((0, 1), ())


def test_a_member_never_takes_what_another_still_holds() -> None:
    steps = plan(4, Holding((0, 1), {0: 7, 1: 7, 2: 7}), 1, set(), taking=True)
    assert steps.acquire == (3,)
    assert steps.share == 2
    assert steps.reason == "2 of 4 shards for member 2 of 2"


def test_the_lowest_free_number_is_taken() -> None:
    assert free_member([0, 1, 3]) == 2
    assert free_member([0, 1, 3], tried={2}) == 4
    assert free_member(range(0x1000)) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_lock_keys_are_signed_64_bit_and_leave_room_for_the_slot(one: str, other: str) -> None:
    base = lock_base(one)
    assert -(2**63) <= base <= 2**63 - 1
    assert base & 0xFFFF == 0
    assert (lock_base(other) == base) == (one == other)
