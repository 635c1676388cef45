"""Two hundred relays lose the one broker that they all use: people are told once, and the API server is not flooded.

Two hundred pods do not fit on one node. Most of these relays have no pod (spec.scaling.replicas is 0): the operator
asks their database and brokers all the same, so that they lose the broker like the few that do run. The writes of those
that run are counted apart.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from outboxrelay.api.names import PLURAL
from tests.cluster import kafka, paths
from tests.support.api_proxy import ApiProxy, api_proxy
from tests.support.incident_diary import Diary, Life, diary
from tests.support.kubectl import Object, as_list
from tests.support.line import Line
from tests.support.merging import merged
from tests.support.receivers import Receiver, receiver
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

RELAYS = 200
PROMISED_SECONDS = 60.0
RUNNING = 4
"""So many of them have a pod."""
HANDS = 4
OUTAGE_SECONDS = 45.0
CALM_SECONDS = 20.0
MOST_WRITES = 8
"""To one relay's status: its conditions and its incident, when the broker goes and when it comes back; and the numbers
of one that runs, at most every 15 s."""

Writes = Counter[tuple[str, str]]


@dataclass
class Story:
    """What was seen."""

    told: float = 0.0
    """Seconds from the broker's death until people were told."""
    notices: list[dict[str, Any]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    calm: Writes = field(default_factory=Counter)
    """Writes in 20 s before."""
    outage: Writes = field(default_factory=Counter)
    """Writes from the broker's death until everything was over."""


async def relays(stand: Stand) -> list[Object]:
    """One role, one Secret, one topic; a table for each relay."""
    line = await stand.line("fleet")
    tables = f"""DO $$ BEGIN FOR i IN 0..{RELAYS - 1} LOOP
        EXECUTE format('CREATE TABLE outbox_%s (LIKE {line.table.qualified} INCLUDING ALL)', i);
        EXECUTE format('GRANT SELECT, DELETE ON outbox_%s TO {line.role}', i);
        END LOOP; END $$"""
    await stand.sql(tables)
    return [manifest(line, number) for number in range(RELAYS)]


def manifest(line: Line, number: int) -> Object:
    """One relay of the fleet."""
    spec = {
        "source": {"table": {"name": f"outbox_{number}"}},
        "scaling": {"mode": "Manual", "replicas": 1 if number < RUNNING else 0},
    }
    return merged(line.manifest(**spec), {"metadata": {"name": name_of(number)}})


async def create(stand: Stand, objects: list[Object]) -> None:
    """kubectl create, a few at the same time."""
    parts = [json.dumps(as_list(tuple(objects[start::HANDS]))) for start in range(HANDS)]
    await asyncio.gather(*(stand.kubectl.run("create", "-f", "-", stdin=part, deadline=240) for part in parts))


def name_of(number: int) -> str:
    return f"relay-{number:03}"


async def tell(rig: Rig, operator: Operator) -> Story:
    """Everything, once."""
    story = Story()
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(api_proxy())
        hook = await stack.enter_async_context(receiver(host=paths.NODE_IP))
        overseen = {**proxy.environment(), "OUTBOXRELAY_CONTROLLER_WEBHOOK_URL": hook.url}
        interval = "OUTBOXRELAY_CONTROLLER_STATUS_INTERVAL_SECONDS"
        stack.push_async_callback(operator.set_environment, **dict.fromkeys(overseen), **{interval: "3"})
        await operator.set_environment(**overseen, **{interval: "15"})
        stand = await stack.enter_async_context(Stand(rig))
        book = await stack.enter_async_context(diary(stand.kubectl))
        every = await relays(stand)
        await create(stand, every[:RUNNING])
        await until(lambda: well(stand, RUNNING), f"{RUNNING} relays that deliver", 120, every=1)
        await create(stand, every[RUNNING:])
        await until(lambda: well(stand, RELAYS), f"{RELAYS} relays whose broker is known to be well", 400, every=3)
        before = proxy.writes.copy()
        await asyncio.sleep(CALM_SECONDS)
        story.calm = proxy.writes - before
        stack.push_async_callback(asyncio.to_thread, kafka.start, 120)
        story.outage, story.told = await outage(proxy, hook, book)
        story.events = await stand.kubectl.list("events")
        story.notices = [body["data"] for _, body in hook.taken]
        story.lives = list(book.lives.values())
    return story


async def well(stand: Stand, count: int) -> bool:
    """Whether there are so many relays, the operator has seen the broker for each, and those that run deliver."""
    found = await stand.kubectl.list(PLURAL)
    conditions = [{item["type"]: item for item in relay.get("status", {}).get("conditions", [])} for relay in found]
    seen = [item.get("TargetReachable", {}).get("status") == "True" for item in conditions]
    ready = [item.get("Ready", {}).get("status") == "True" for item in conditions]
    return len(found) == count and all(seen) and sum(ready) == RUNNING


async def outage(proxy: ApiProxy, hook: Receiver, book: Diary) -> tuple[Writes, float]:
    """The broker dies and comes back; the writes meanwhile, and the seconds until people were told."""
    before, began = proxy.writes.copy(), time.monotonic()
    await asyncio.to_thread(kafka.kill)

    async def all_have_it() -> bool:
        return len([life for life in book.of("BrokerUnavailable") if life.open]) == RELAYS

    async def told(count: int) -> bool:
        return len(hook.taken) >= count

    await until(lambda: told(1), "notification", 60, every=0.1)
    took = hook.times[0] - began
    await until(all_have_it, f"{RELAYS} relays with the incident", 60)
    last = max(at for life in book.lives.values() for at in life.opened) - began
    print(f"\ntold after {took:.1f} s, in the status of all {RELAYS} relays after {last:.1f} s")
    await asyncio.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    await asyncio.to_thread(kafka.start, 120)
    healed = time.monotonic()
    await until(lambda: told(2), "end of the incident", 90, every=0.1)
    print(f"over, and told so, {hook.times[1] - healed:.1f} s after the broker was back")
    await asyncio.sleep(CALM_SECONDS)
    return proxy.writes - before, took


@pytest.fixture(scope="module")
def story(rig: Rig, operator: Operator) -> Story:
    """The story is lived once; each test looks at one side of it."""
    if not rig.is_local:
        pytest.skip("kills the broker: only on the local cluster, not with OUTBOXRELAY_CONTEXT")
    return asyncio.run(tell(rig, operator))


def test_people_are_told_once_when_the_broker_dies_and_once_when_all_relays_have_it_back(story: Story) -> None:
    assert [(item["type"], item["state"]) for item in story.notices] == [
        ("BrokerUnavailable", "Open"),
        ("BrokerUnavailable", "Resolved"),
    ]
    assert story.told <= PROMISED_SECONDS
    opened, resolved = story.notices
    assert opened["id"] == resolved["id"]
    print(f"\nwhen it was told, {opened['relayCount']} of {RELAYS} relays had it in their status")
    assert opened["relayCount"] > 1
    assert resolved["relayCount"] == RELAYS
    assert f"{RELAYS} relays" in resolved["summary"]


def test_every_relay_is_marked_as_a_child_of_the_one_parent(story: Story) -> None:
    assert sorted(life.relay for life in story.lives) == [name_of(number) for number in range(RELAYS)]
    assert {life.body["parent"] for life in story.lives} == {story.notices[0]["id"]}
    assert {(life.type, len(life.opened), len(life.resolved)) for life in story.lives} == {("BrokerUnavailable", 1, 1)}


def test_one_event_tells_of_the_opening_and_one_of_the_end(story: Story) -> None:
    counts = Counter(event["reason"] for event in story.events if event["reason"].startswith("Incident"))
    assert counts == {"IncidentOpened": 1, "IncidentResolved": 1}


def test_the_api_server_gets_a_bounded_number_of_writes(story: Story) -> None:
    by_relay = [
        story.outage["PATCH outboxrelays/status", status_path(story, name_of(number))] for number in range(RELAYS)
    ]
    kinds: Counter[str] = Counter()
    for (kind, _), count in story.outage.items():
        kinds[kind] += count
    others = {kind: count for kind, count in kinds.items() if kind != "PATCH outboxrelays/status"}
    running, rest = max(by_relay[:RUNNING]), max(by_relay[RUNNING:])
    print(
        f"\nwrites of the operator through an outage of {OUTAGE_SECONDS:.0f} s: {sum(by_relay)} of status "
        f"({sum(by_relay) / RELAYS:.1f} a relay; at most {rest} without a pod, {running} with one), {others}\n"
        f"in {CALM_SECONDS:.0f} s before it: {sum(story.calm.values())}"
    )
    assert min(by_relay) >= 2
    assert max(by_relay) <= MOST_WRITES
    assert sum(count for kind, count in others.items() if "leases" not in kind) <= 2 + 4 * RUNNING


def status_path(story: Story, name: str) -> str:
    (path,) = {path for _, path in story.outage if path.endswith(f"/{PLURAL}/{name}/status")}
    return path
