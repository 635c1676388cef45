"""Leading: one at a time, over quickly, and given up before anybody else may begin."""

import asyncio
from dataclasses import replace

import pytest

from outboxrelay.controller.leader import Leader, LeadershipLost
from outboxrelay.decisions.leadership import LeaseRecord
from outboxrelay.errors import ClusterFault
from tests.support.moved_clock import LoopClock

pytestmark = pytest.mark.looptime


class FakeLease:
    """A Lease with optimistic locking."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.down = False
        self._version = 0

    async def read(self) -> LeaseRecord | None:
        self._check()
        return self.record

    async def write(
        self, holder: str, duration: int, transitions: int, before: LeaseRecord | None
    ) -> LeaseRecord | None:
        self._check()
        if (before.version if before else None) != (self.record.version if self.record else None):
            return None
        self._version += 1
        self.record = LeaseRecord(holder, duration, transitions, f"t{self._version}", str(self._version))
        return self.record

    def holder(self) -> str:
        return self.record.holder if self.record else ""

    def _check(self) -> None:
        if self.down:
            raise ClusterFault(0, "NoAnswer", "away")


def candidate(lease: FakeLease, name: str) -> Leader:
    return Leader(lease, name, clock=LoopClock(), saw=lambda holder: None)


async def test_the_first_candidate_leads_and_the_second_stands_by() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    assert await first.attempt()
    assert not await second.attempt()


async def test_a_leader_that_renews_is_never_displaced() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
    await asyncio.sleep(600)
    assert lease.holder() == "a"
    assert not keeping.done()
    assert not waiting.done()
    for task in (keeping, waiting):
        task.cancel()


async def test_a_dead_leader_is_replaced_after_15_seconds_and_not_before() -> None:
    lease = FakeLease()
    await candidate(lease, "a").acquire()
    second = candidate(lease, "b")
    begun = asyncio.get_running_loop().time()
    await second.acquire()
    assert 15 <= asyncio.get_running_loop().time() - begun <= 18
    assert lease.record is not None
    assert lease.record.transitions == 1


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    await first.release()
    assert await second.attempt()


async def test_a_leader_that_cannot_renew_stops_before_the_lease_runs_out() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    begun = asyncio.get_running_loop().time()
    assert not await second.attempt()
    lease.down = True
    with pytest.raises(LeadershipLost, match="10 s"):
        await first.keep()
    assert asyncio.get_running_loop().time() - begun < 13
    lease.down = False
    assert not await second.attempt()


async def test_a_leader_outlives_an_api_server_that_is_away_for_a_moment() -> None:
    lease = FakeLease()
    first = candidate(lease, "a")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    await asyncio.sleep(5)
    lease.down = True
    await asyncio.sleep(6)
    lease.down = False
    await asyncio.sleep(60)
    assert not keeping.done()
    keeping.cancel()


async def test_a_leader_whose_lease_was_taken_stops_at_once() -> None:
    lease = FakeLease()
    first = candidate(lease, "a")
    await first.acquire()
    assert lease.record is not None
    lease.record = replace(lease.record, holder="b", renewed="x", version="99")
    with pytest.raises(LeadershipLost, match="b leads"):
        await first.keep()


async def test_releasing_never_takes_the_lease_of_another() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    assert lease.record is not None
    lease.record = replace(lease.record, holder="", renewed="x", version="99")
    await second.acquire()
    await first.release()
    assert lease.holder() == "b"


async def test_who_takes_over_from_a_leader_that_died_knows_whom() -> None:
    lease = FakeLease()
    first = candidate(lease, "a")
    await first.acquire()
    assert first.predecessor is None
    second = candidate(lease, "b")
    await second.acquire()
    assert second.predecessor is not None
    assert second.predecessor.holder == "a"
    assert 14 <= second.predecessor.silent <= 18


async def test_a_process_that_ended_without_releasing_is_known_to_the_next_one_of_its_name() -> None:
    lease = FakeLease()
    await candidate(lease, "a").acquire()
    again = candidate(lease, "a")
    await again.acquire()
    assert again.predecessor is not None
    assert again.predecessor.holder == "a"


async def test_a_leader_that_left_in_order_has_no_successor_that_complains() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    await first.release()
    await second.acquire()
    assert second.predecessor is None
    await second.attempt()
    assert second.predecessor is None


async def test_a_leader_that_gives_up_says_why_and_is_replaced_within_seconds() -> None:
    lease = FakeLease()
    first, second = candidate(lease, "a"), candidate(lease, "b")
    await first.acquire()
    await first.release("gave up: its watch was dead")
    began = asyncio.get_running_loop().time()
    await second.acquire()
    assert asyncio.get_running_loop().time() - began < 5
    assert second.predecessor is not None
    assert second.predecessor.holder == "a (gave up: its watch was dead)"
