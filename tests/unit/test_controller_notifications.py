"""Telling receivers: a dead one delays nobody, what fails is tried again with backoff, and nothing is told twice."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from outboxrelay.api.incidents import Severity
from outboxrelay.controller.notifications import Notifications
from outboxrelay.decisions.incidents.notices import Notice
from outboxrelay.errors import NotificationFault
from tests.support.moved_clock import LoopClock
from tests.support.tasks import owned
from tests.unit.test_incident_notices import notice

pytestmark = pytest.mark.looptime

Answer = Callable[[], Coroutine[Any, Any, None]]


class FakeReceiver:
    """Somebody who is told, and answers as a test wants it."""

    def __init__(self, kind: str = "webhook", repeat: float | None = None) -> None:
        self.kind = kind
        self.place = "receiver:1"
        self.repeat = repeat
        self.answer: Answer = well
        self.attempts: list[float] = []
        self.got: list[tuple[float, list[tuple[str, str]]]] = []

    async def send(self, notices: Sequence[Notice]) -> None:
        now = asyncio.get_running_loop().time()
        self.attempts.append(now)
        await self.answer()
        self.got.append((now, [(item.id.removeprefix("PoisonRows-"), item.state) for item in notices]))

    def told(self) -> list[tuple[str, str]]:
        return [item for _, batch in self.got for item in batch]


async def well() -> None:
    await asyncio.sleep(0.01)


async def dead() -> None:
    await asyncio.sleep(3)
    raise NotificationFault("no answer within 3 s")


async def failing() -> None:
    raise NotificationFault("HTTP status 500")


async def refusing() -> None:
    raise NotificationFault("HTTP status 400", permanent=True)


class Count:
    """What was counted."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], int] = {}

    def __call__(self, receiver: str, result: str, count: int) -> None:
        self.found[receiver, result] = self.found.get((receiver, result), 0) + count


def notifications(*receivers: FakeReceiver, least: Severity = Severity.WARNING) -> tuple[Notifications, Count]:
    count = Count()
    return Notifications(receivers, clock=LoopClock(), least=least, count=count), count


async def test_a_dead_receiver_delays_neither_the_teller_nor_another_receiver() -> None:
    sick, good = FakeReceiver(), FakeReceiver()
    sick.answer = dead
    telling, count = notifications(sick, good)
    async with owned(telling.run()):
        started = asyncio.get_running_loop().time()
        for number in range(50):
            telling.tell(notice(str(number)))
        assert asyncio.get_running_loop().time() == started
        await asyncio.sleep(1)
        assert len(good.told()) == 50
        await asyncio.sleep(600)
        # 3 s for each attempt and a growing wait between: no tight loop.
        assert len(sick.attempts) < 50
        assert telling.pending() == {"webhook": 50}
        assert count.found["webhook", "sent"] == 50
        sick.answer = well
        await asyncio.sleep(60)
        assert [name for name, _ in sick.told()] == [str(number) for number in range(50)]
        assert telling.pending() == {"webhook": 0}


async def test_what_failed_is_tried_again_later_and_later_and_arrives_once() -> None:
    receiver = FakeReceiver()
    receiver.answer = failing
    telling, count = notifications(receiver)
    async with owned(telling.run()):
        telling.tell(notice("a"))
        await asyncio.sleep(300)
        waits = [later - earlier for earlier, later in zip(receiver.attempts, receiver.attempts[1:], strict=False)]
        assert waits[0] >= 0.5
        assert waits[-1] > 10
        receiver.answer = well
        await asyncio.sleep(300)
        assert receiver.told() == [("a", "opened")]
        assert count.found == {("webhook", "failed"): len(receiver.attempts) - 1, ("webhook", "sent"): 1}


async def test_what_is_refused_is_given_up_and_the_others_arrive() -> None:
    receiver = FakeReceiver()
    telling, count = notifications(receiver)

    async def by_name() -> None:
        if telling_of[0] == "bad":
            await refusing()

    telling_of = ["bad"]
    original = receiver.send

    async def send(notices: Sequence[Notice]) -> None:
        telling_of[0] = notices[0].id.removeprefix("PoisonRows-")
        await original(notices)

    receiver.send = send  # type: ignore[method-assign]
    receiver.answer = by_name
    async with owned(telling.run()):
        telling.tell(notice("bad"))
        telling.tell(notice("good"))
        await asyncio.sleep(300)
        assert receiver.told() == [("good", "opened")]
        assert count.found["webhook", "dropped"] == 1


async def test_alertmanager_is_told_again_every_minute_until_it_is_over() -> None:
    receiver = FakeReceiver("alertmanager", repeat=60)
    telling, _ = notifications(receiver)
    async with owned(telling.run()):
        telling.tell(notice("a"))
        telling.tell(notice("b"))
        await asyncio.sleep(130)
        telling.tell(notice("a", closed=True))
        await asyncio.sleep(130)
        told = receiver.told()
        assert told.count(("a", "opened")) == 3
        assert told.count(("a", "resolved")) == 1
        assert told.count(("b", "opened")) == 5
        assert max(len(batch) for _, batch in receiver.got) == 2


async def test_what_another_leader_told_is_only_repeated_to_who_forgets() -> None:
    webhook, alertmanager = FakeReceiver(), FakeReceiver("alertmanager", repeat=60)
    telling, _ = notifications(webhook, alertmanager)
    async with owned(telling.run()):
        telling.adopt(notice("a"))
        await asyncio.sleep(10)
        assert (webhook.told(), alertmanager.told()) == ([], [("a", "opened")])
        telling.tell(notice("a", closed=True))
        await asyncio.sleep(10)
        assert webhook.told() == [("a", "resolved")]


async def test_a_shared_incident_waits_a_moment_so_that_it_says_how_many_have_it() -> None:
    receiver = FakeReceiver()
    telling, _ = notifications(receiver)
    async with owned(telling.run()):
        telling.tell(notice("a"), wait=3)
        await asyncio.sleep(2.9)
        assert receiver.attempts == []
        await asyncio.sleep(0.2)
        assert receiver.told() == [("a", "opened")]


async def test_mild_incidents_are_not_told_where_only_critical_ones_are_asked_for() -> None:
    receiver = FakeReceiver()
    telling, _ = notifications(receiver, least=Severity.CRITICAL)
    async with owned(telling.run()):
        telling.tell(notice("mild"))
        telling.tell(notice("grave", scope="kafka:9092"))
        await asyncio.sleep(10)
        assert receiver.told() == [("grave", "opened")]
