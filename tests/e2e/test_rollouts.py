"""Critical relays and rollouts: a changed Secret, a drain, an upgrade in waves, and relays that wait for others."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from tests.cluster import images
from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

CRITICAL = {"tier": "Critical"}


async def test_a_changed_secret_of_a_critical_relay_never_leaves_fewer_than_two_ready_pods(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=50) as oracle:
        await line.start(isolation=CRITICAL, scaling={"replicas": 1})
        old = await line.wait_pods(2)
        async with oracle.writer.writing(per_second=200), fewest_ready(line) as seen:
            await stand.change_password(line)

            async def replaced() -> bool:
                uids = {pod["metadata"]["uid"] for pod in await line.pods()}
                return len(uids) == 2 and not uids & {pod["metadata"]["uid"] for pod in old}

            await until(replaced, "two pods with the new password", 120)
            await stand.end_sessions(line)
            await line.wait_ready()
        result = await oracle.verdict()
    print(f"\nfewest ready pods in {len(seen)} looks during the rollout: {min(seen)}; {result.report()}")
    assert result.passed, result.report()
    assert len(seen) > 5
    assert min(seen) >= 2


async def test_a_budget_lets_a_drain_take_one_pod_at_a_time_and_goes_with_the_tier(stand: Stand) -> None:
    line = await stand.line()
    await line.start(isolation=CRITICAL, scaling={"replicas": 1})
    first, second = await line.wait_pods(2)
    assert first["spec"]["priority"] == 1_000_000

    async def allows() -> bool:
        found = await stand.kubectl.find("poddisruptionbudgets", line.child)
        return bool(found and found.get("status", {}).get("disruptionsAllowed") == 1)

    await until(allows, "budget that allows one disruption", 30)
    assert await evicted(stand, first)
    assert not await evicted(stand, second)
    await line.wait_pods(2)
    await stand.kubectl.run("delete", "poddisruptionbudget", line.child)
    await until(allows, "budget that was restored", 30)
    await line.apply(isolation={"tier": "Standard"}, scaling={"replicas": 1})

    async def gone() -> bool:
        return await stand.kubectl.find("poddisruptionbudgets", line.child) is None

    await until(gone, "end of the budget", 30)
    await line.wait_pods(1)


async def test_a_circle_is_told_and_a_first_start_waits_for_what_it_depends_on(stand: Stand) -> None:
    orders, billing = await stand.line("orders"), await stand.line("billing")
    await billing.apply(dependsOn=["orders"], scaling={"replicas": 1})
    await billing.wait_condition("RolledOut", "False", "DependencyNotFound")
    assert await stand.kubectl.find("deployments", billing.child) is None
    await orders.start(scaling={"replicas": 1})
    await billing.wait_ready()
    await billing.wait_condition("RolledOut", "True")
    await orders.apply(dependsOn=["billing"], scaling={"replicas": 1})
    told = await orders.wait_condition("Accepted", "False", "DependencyCycle")
    assert "orders -> billing -> orders" in told["message"]
    assert len(await orders.pods()) == len(await billing.pods()) == 1
    refused = await stand.kubectl.attempt(
        "apply", "-f", "-", stdin=json.dumps(billing.manifest(dependsOn=["billing"], scaling={"replicas": 1}))
    )
    assert refused.code != 0
    assert "it would wait for itself" in refused.error
    await orders.apply(dependsOn=[], scaling={"replicas": 1})
    await orders.wait_ready()
    await billing.wait_ready()


async def test_an_upgrade_rolls_in_waves_critical_last_and_stops_on_an_incident(
    stand: Stand, local: Rig, operator: Operator, image: str
) -> None:
    lines = [await stand.line(name) for name in ("alpha", "bravo", "vital")]
    for line in lines:
        await line.apply(**({"isolation": CRITICAL} if line.name == "vital" else {"scaling": {"replicas": 1}}))
    for line in lines:
        await line.wait_ready()
    slow = {"rollouts__atOnce": "1", "rollouts__watchSeconds": "5"}
    try:
        operator.install(image, relayImage="localhost/outboxrelay:missing", **slow)
        first = await until(lambda: first_with(lines, ":missing"), "relay whose upgrade went wrong", 120)
        others = [line for line in lines if line is not first]
        for line in others:
            told = await line.wait_condition("RolledOut", "False", "UpgradeStopped", 90)
            assert f"{stand.name}/{first.name} has the incident RelayImagePullFailed" in told["message"]
        assert first.name != "vital"
        assert [await image_of(line) for line in others] == [image, image]
        assert [len(await line.pods()) for line in lines] == [1, 1, 2]
        await first.wait_event("UpgradeStopped")

        other = f"{image.rpartition(':')[0]}:again"
        images.tag(image, other)
        operator.install(image, relayImage=other, **slow)
        order: list[str] = []

        async def upgraded() -> bool:
            new = [line.name for line in lines if await image_of(line) == other and line.name not in order]
            order.extend(new)
            assert len(new) <= 1
            return len(order) == len(lines)

        await until(upgraded, "end of the upgrade", 240)
        print(f"\nafter the repair: {' -> '.join(order)}")
        assert order[-1] == "vital"
        for line in lines:
            await line.wait_condition("RolledOut", "True", "UpToDate", 90)
            await line.wait_ready()
    finally:
        operator.install(image)


async def first_with(lines: list[Line], ending: str) -> Line | None:
    """The first relay whose Deployment has an image with this ending."""
    for line in lines:
        if (await image_of(line)).endswith(ending):
            return line
    return None


async def image_of(line: Line) -> str:
    """The image of the relay's Deployment."""
    return str((await line.deployment())["spec"]["template"]["spec"]["containers"][0]["image"])


async def evicted(stand: Stand, pod: Object) -> bool:
    """Evict a pod as a drain does; whether it is allowed."""
    name = pod["metadata"]["name"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": stand.name},
    }
    path = f"/api/v1/namespaces/{stand.name}/pods/{name}/eviction"
    done = await stand.kubectl.attempt("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    assert done.code == 0 or "disruption budget" in done.error, done.error
    return done.code == 0


@contextlib.asynccontextmanager
async def fewest_ready(line: Line) -> AsyncIterator[list[int]]:
    """Counts ready pods again and again meanwhile."""
    seen: list[int] = []

    async def count() -> None:
        while True:
            seen.append(len(await line.pods()))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(count())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait({task})
