"""Events of a relay: what repeats is counted, what comes back much later is written anew."""

from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.controller.events import SAME_SECONDS, TIDY_SECONDS, Events
from outboxrelay.decisions.transitions import News
from tests.support.fake_kube import FakeKube
from tests.support.moved_clock import MovedClock

ORDERS = RelayIdentity(namespace="shop", name="orders", uid="1", generation=1)
NEWS = News("Warning", "Timeout", "no answer")


def counts(kube: FakeKube) -> list[int]:
    return sorted(body["count"] for (kind, _, _), body in kube.objects.items() if kind == "Event")


async def test_news_that_repeat_within_ten_minutes_are_counted() -> None:
    kube, clock = FakeKube(), MovedClock()
    events = Events(kube, clock=clock)
    for _ in range(4):
        await events.publish(ORDERS, NEWS)
        clock.move(SAME_SECONDS - 1)
    assert counts(kube) == [4]


async def test_news_that_come_back_after_ten_minutes_are_an_event_of_their_own() -> None:
    kube, clock = FakeKube(), MovedClock()
    events = Events(kube, clock=clock)
    await events.publish(ORDERS, NEWS)
    clock.move(SAME_SECONDS - TIDY_SECONDS / 2)
    await events.publish(ORDERS, News("Warning", "Other", "tidies"))
    clock.move(TIDY_SECONDS / 2)
    await events.publish(ORDERS, NEWS)
    assert counts(kube) == [1, 1, 1]
