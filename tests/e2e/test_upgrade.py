"""From the release before this one to this one, away, and back: relays go on all the time, and nothing is lost.

The way is gone once, with writers at work; each test looks at one side of it. The chart and the image of the release
before are in tests/previous. Its definition is made a little older still: it lacks the field NEW, so that there is
always a field that only this release knows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import previous
from tests.e2e.conftest import dump, loaded_image
from tests.support.kubectl import Object
from tests.support.line import Line, identities, told
from tests.support.oracle import Oracle, Verdict
from tests.support.release import CHART, Operator
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

DEFINITION = "outboxrelays.outboxrelay.dev"
FILE = "files/outboxrelays.yaml"
NEW = "spec.flow.maxRowsPerSecond"
PER_SECOND = 100
PATIENCE = 240.0
ROWS = 300
RELAYS: dict[str, dict[str, Any]] = {
    "orders": {"scaling": {"replicas": 2}},
    "stock": {},
    "payments": {"isolation": {"tier": "Critical"}},
}


@dataclass
class Look:
    """What of the cluster is compared between two moments."""

    relays: dict[str, str]
    """uid of each OutboxRelay."""
    pods: dict[str, dict[str, int]]
    """uid and restarts of each pod, by relay."""
    images: dict[str, str]
    deployments: dict[str, tuple[str, int]]
    """uid and generation, by relay."""
    fields: set[str]
    """All that the definition knows."""


@dataclass
class Story:
    """The looks, by what had just been done."""

    looks: dict[str, Look] = field(default_factory=dict)
    refused: str = ""
    """What the API server said of the new field before the upgrade."""
    limited: str = ""
    """The relay's config after it was set."""
    delivered: dict[str, dict[str, int]] = field(default_factory=dict)
    """Events that arrived in each part of the way, by relay."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    pauses: dict[str, float] = field(default_factory=dict)
    """Longest time in seconds in which nothing of a relay arrived, while its writer wrote."""


def fields_of(schema: Object, path: str = "") -> Iterator[str]:
    """The path of each field that a schema knows."""
    for name, item in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from fields_of(item, f"{path}{name}.")
        yield from fields_of(item.get("items", {}), f"{path}{name}[].")


def schema_of(definition: Object) -> Object:
    schema: Object = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def in_file(chart: Path) -> set[str]:
    return set(fields_of(schema_of(yaml.safe_load((chart / FILE).read_text()))))


def forget_new_field(chart: Path) -> None:
    """Take NEW out of a chart's definition."""
    definition = yaml.safe_load((chart / FILE).read_text())
    part = schema_of(definition)
    *parents, last = NEW.split(".")
    for name in parents:
        part = part["properties"][name]
    del part["properties"][last]
    (chart / FILE).write_text(yaml.safe_dump(definition))


async def look(stand: Stand) -> Look:
    lines = stand.lines
    deployments = {name: await line.deployment() for name, line in lines.items()}
    return Look(
        relays={item["metadata"]["name"]: item["metadata"]["uid"] for item in await stand.kubectl.list("outboxrelays")},
        pods={name: identities(await line.pods()) for name, line in lines.items()},
        images={name: image_of(item) for name, item in deployments.items()},
        deployments={
            name: (item["metadata"]["uid"], item["metadata"]["generation"]) for name, item in deployments.items()
        },
        fields=set(fields_of(schema_of(await stand.kubectl.get("crd", DEFINITION)))),
    )


def image_of(deployment: Object) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


@contextlib.asynccontextmanager
async def oracles(stand: Stand) -> AsyncIterator[dict[str, Oracle]]:
    """An oracle for each relay."""
    async with contextlib.AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(line.oracle(keys=20)) for name, line in stand.lines.items()}


@contextlib.asynccontextmanager
async def counted(story: Story, part: str, oracles: dict[str, Oracle]) -> AsyncIterator[None]:
    """A part of the way; it ends when of each relay so many more have arrived than were committed when it began."""
    before = {name: len(oracle.consumer.ids) for name, oracle in oracles.items()}
    goals = {name: len(oracle.writer.committed) + ROWS for name, oracle in oracles.items()}
    yield
    for name, oracle in oracles.items():
        await until(arrived(oracle, goals[name]), f"delivery of {name} {part}", PATIENCE)
    story.delivered[part] = {name: len(oracle.consumer.ids) - before[name] for name, oracle in oracles.items()}


def arrived(oracle: Oracle, goal: int) -> Callable[[], Any]:
    async def probe() -> bool:
        return len(oracle.consumer.ids) >= goal

    return probe


async def set_new_field(line: Line) -> tuple[int, str]:
    """Set it as a user does who lets the API server check names: the exit code, and what was said."""
    manifest = line.manifest(**RELAYS[line.name], flow={"maxRowsPerSecond": 5000})
    done = await line.kubectl.attempt("apply", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(manifest))
    return done.code, done.error


async def upgraded(line: Line, image: str) -> None:
    """Wait until all pods of a relay are of an image, and the rollout is over."""
    seen: dict[str, Object] = {}

    async def probe() -> bool:
        seen.update(await line.conditions())
        pods = await line.pods()
        return bool(pods) and all(pod["spec"]["containers"][0]["image"] == image for pod in pods)

    await until(probe, f"{line.name} with pods of {image}", PATIENCE, last=lambda: told(seen))
    await line.wait_condition("RolledOut", "True", "UpToDate", PATIENCE)


async def tell(rig: Rig, operator: Operator, image: str, old_image: str, old_chart: Path) -> Story:
    """The whole way, once."""
    story = Story()
    operator.uninstall()
    operator.install(old_image, chart=str(old_chart))
    async with Stand(rig) as stand:
        for name in RELAYS:
            await stand.line(name)
        async with oracles(stand) as every, contextlib.AsyncExitStack() as writers:
            for name, line in stand.lines.items():
                await line.apply(**RELAYS[name])
            for line in stand.lines.values():
                await line.wait_ready(PATIENCE)
            for oracle in every.values():
                await writers.enter_async_context(oracle.writer.writing(per_second=PER_SECOND))
            try:
                await go(story, stand, every, operator, image)
            except AssertionError as error:
                error.add_note(await asyncio.to_thread(dump, rig, stand.name, "upgrade"))
                raise
            await writers.aclose()
            for name, oracle in every.items():
                story.verdicts[name] = await oracle.verdict()
                times = sorted(event.arrived_at for event in oracle.consumer.arrived)
                story.pauses[name] = max(later - earlier for earlier, later in pairwise(times))
    return story


async def go(story: Story, stand: Stand, every: dict[str, Oracle], operator: Operator, image: str) -> None:
    """Upgrade, uninstall, install again, each with a look before and after."""
    orders = stand.lines["orders"]
    async with counted(story, "before", every):
        code, story.refused = await set_new_field(orders)
        assert code != 0, "the older definition took a field that it does not have"
    story.looks["before"] = await look(stand)
    async with counted(story, "upgrading", every):
        await asyncio.to_thread(operator.install, image, rollouts__watchSeconds="5")
        for line in stand.lines.values():
            await upgraded(line, image)
    story.looks["upgraded"] = await look(stand)
    code, said = await set_new_field(orders)
    assert code == 0, said
    await orders.wait_ready(PATIENCE)
    await orders.wait_condition("RolledOut", "True", "UpToDate", PATIENCE)
    story.limited = str((await stand.kubectl.get("configmaps", orders.child))["data"])
    await orders.wait_pods(2, PATIENCE)
    story.looks["settled"] = await look(stand)
    async with counted(story, "without the operator", every):
        await asyncio.to_thread(operator.uninstall)
        story.looks["uninstalled"] = await look(stand)
    async with counted(story, "with the operator again", every):
        await asyncio.to_thread(operator.install, image)
        again = await asyncio.gather(*(observed_at(line) for line in stand.lines.values()))
        for line, before in zip(stand.lines.values(), again, strict=True):
            await until(observed_after(line, before), f"status of {line.name} by the operator that is back", PATIENCE)
            await line.wait_ready(PATIENCE)
    story.looks["reinstalled"] = await look(stand)


async def observed_at(line: Line) -> str:
    """When the status was last written with numbers."""
    status = (await line.kubectl.get("outboxrelays", line.name)).get("status", {})
    return str(status.get("backlog", {}).get("observedAt", ""))


def observed_after(line: Line, before: str) -> Callable[[], Any]:
    async def probe() -> bool:
        return await observed_at(line) > before

    return probe


@pytest.fixture(scope="module")
def story(rig: Rig, operator: Operator, image: str) -> Iterator[Story]:
    """The way is gone once; afterwards the operator is what other tests expect."""
    if not rig.is_local:
        pytest.skip("the image of the release before is built here: only on the local cluster")
    old_image = loaded_image("--previous")
    with previous.unpacked() as folder:
        chart = folder / previous.CHART
        forget_new_field(chart)
        try:
            yield asyncio.run(tell(rig, operator, image, old_image, chart))
        finally:
            operator.install(image)


def test_an_upgrade_brings_the_new_definition_and_keeps_every_relay(story: Story) -> None:
    before, after = story.looks["before"], story.looks["upgraded"]
    with previous.unpacked() as folder:
        old = in_file(folder / previous.CHART)
    assert before.fields == old - {NEW}
    assert after.fields == in_file(Path(CHART))
    assert NEW in after.fields
    assert len(before.relays) == len(RELAYS)
    assert after.relays == before.relays


def test_a_new_field_is_refused_before_the_upgrade_and_works_after_it(story: Story) -> None:
    assert 'unknown field "spec.flow.maxRowsPerSecond"' in story.refused
    assert "maxRowsPerSecond" in story.limited


def test_an_upgrade_gives_every_relay_pods_of_the_new_image(story: Story, image: str) -> None:
    before, after = story.looks["before"], story.looks["upgraded"]
    assert set(before.images.values()) & {image} == set()
    assert set(after.images.values()) == {image}
    for name in RELAYS:
        assert after.pods[name], name
        assert not set(after.pods[name]) & set(before.pods[name])
        assert after.deployments[name][0] == before.deployments[name][0]


def test_every_relay_delivers_on_each_part_of_the_way(story: Story) -> None:
    assert list(story.delivered) == ["before", "upgrading", "without the operator", "with the operator again"]
    for part, counts in story.delivered.items():
        assert set(counts) == set(RELAYS)
        assert min(counts.values()) >= ROWS, part


def test_helm_uninstall_leaves_the_definition_every_relay_and_its_pods(story: Story) -> None:
    before, after = story.looks["settled"], story.looks["uninstalled"]
    assert after == before
    assert all(after.pods.values())


def test_a_reinstall_adopts_what_it_finds_and_restarts_no_pod(story: Story) -> None:
    assert story.looks["reinstalled"] == story.looks["settled"]


def test_nothing_is_lost_and_no_key_out_of_order(story: Story) -> None:
    for name, verdict in story.verdicts.items():
        print(f"\n{name}: {verdict}; longest pause {story.pauses[name]:.1f} s")
    for name, verdict in story.verdicts.items():
        assert verdict.passed, f"{name}: {verdict.report()}"
