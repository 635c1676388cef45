"""A watch that has died is noticed by comparison, repaired, and then ends the process."""

from typing import Any

import pytest

from outboxrelay.controller.relays import Relays
from outboxrelay.controller.resync import BlindWatch, Resync
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import RELAY
from tests.support.fake_kube import FakeKube
from tests.support.moved_clock import MovedClock
from tests.support.relay_bodies import relay_body

pytestmark = pytest.mark.looptime

KEY = ("shop", "orders")


class Bench:
    """A resync over fakes."""

    def __init__(self) -> None:
        self.kube, self.relays, self.clock = FakeKube(), Relays(), MovedClock()
        self.woken: list[tuple[str, str]] = []
        self.resync = Resync(self.kube, self.relays, self.woken.append, clock=self.clock, namespaces=())

    def stored(self, **changes: Any) -> dict[str, Any]:
        return self.kube.put(RELAY, relay_body(**changes))


async def test_a_watch_that_delivers_is_left_alone() -> None:
    bench = Bench()
    bench.relays.deliver("ADDED", bench.stored())
    for _ in range(5):
        await bench.resync.once()
        bench.clock.move(20)
    assert bench.woken == []


async def test_a_missed_event_is_repaired_at_once() -> None:
    bench = Bench()
    bench.stored()
    await bench.resync.once()
    assert bench.woken == [KEY]
    assert bench.relays.get(KEY) is not None


async def test_a_version_that_is_never_delivered_ends_the_process_after_20_seconds() -> None:
    bench = Bench()
    bench.relays.deliver("ADDED", bench.stored())
    bench.stored(scaling={"replicas": 2})
    await bench.resync.once()
    bench.clock.move(19)
    await bench.resync.once()
    bench.clock.move(1)
    with pytest.raises(BlindWatch, match="shop/orders"):
        await bench.resync.once()


async def test_a_watch_that_is_only_late_is_forgiven() -> None:
    bench = Bench()
    body = bench.stored()
    await bench.resync.once()
    bench.relays.deliver("ADDED", body)
    bench.clock.move(60)
    await bench.resync.once()


async def test_a_relay_that_changes_all_the_time_is_no_blindness_while_each_version_arrives_late() -> None:
    bench = Bench()
    for replicas in range(1, 10):
        body = bench.stored(scaling={"replicas": replicas})
        await bench.resync.once()
        bench.clock.move(15)
        bench.relays.deliver("MODIFIED", body)


async def test_a_deletion_that_the_watch_missed_is_repaired_and_is_no_blindness() -> None:
    bench = Bench()
    bench.relays.deliver("ADDED", bench.stored())
    bench.kube.remove(RELAY, *KEY)
    for _ in range(3):
        await bench.resync.once()
        bench.clock.move(30)
    assert bench.woken == [KEY]
    assert bench.relays.get(KEY) is None


async def test_while_the_api_is_away_the_watch_cannot_be_blamed() -> None:
    bench = Bench()
    bench.stored()
    await bench.resync.once()
    bench.kube.refuse = lambda verb, _kind: ClusterFault(0, "NoAnswer", "away") if verb == "list" else None
    bench.clock.move(60)
    await bench.resync.once()
    bench.kube.refuse = lambda _verb, _kind: None
    bench.clock.move(1)
    await bench.resync.once()


def test_a_relay_that_was_created_anew_is_not_taken_for_the_old_one() -> None:
    relays = Relays()
    old, new = relay_body(generation=9), relay_body(generation=1)
    new["metadata"]["uid"] = "another"
    relays.deliver("ADDED", old)
    relays.deliver("ADDED", new)
    relays.deliver("DELETED", old)
    assert relays.get(KEY) == new


def test_an_older_version_never_replaces_a_newer_one() -> None:
    relays = Relays()
    relays.repair(relay_body(generation=3))
    relays.deliver("MODIFIED", relay_body(generation=2))
    body = relays.get(KEY)
    assert body is not None
    assert body["metadata"]["generation"] == 3


def test_a_status_that_comes_back_is_no_news_and_every_other_change_is() -> None:
    relays, body = Relays(), relay_body()
    assert relays.is_news("ADDED", body)
    relays.deliver("ADDED", body)
    written = {**body, "status": {"observedGeneration": 1}, "metadata": {**body["metadata"], "resourceVersion": "9"}}
    assert not relays.is_news("MODIFIED", written)
    assert relays.is_news(None, written), "a watch that lists anew may have missed anything"
    assert relays.is_news("DELETED", written)
    for field, value in (("generation", 2), ("labels", {"a": "b"}), ("deletionTimestamp", "now"), ("uid", "other")):
        assert relays.is_news("MODIFIED", {**body, "metadata": {**body["metadata"], field: value}})


def test_who_wrote_which_field_is_not_kept() -> None:
    relays, body = Relays(), relay_body()
    key = relays.deliver("ADDED", {**body, "metadata": {**body["metadata"], "managedFields": [{"manager": "x"}]}})
    assert relays.get(key) == body
