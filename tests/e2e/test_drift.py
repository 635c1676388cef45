"""What somebody else does to a relay's children is undone within seconds; what is not the operator's is left."""

import asyncio
import json
from collections.abc import Callable

from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.stand import Stand
from tests.support.waiting import until

REPAIR_SECONDS = 5
"""What the operator promises."""


async def repaired(line: Line, what: str, is_right: Callable[[Object], bool]) -> Object:
    async def probe() -> Object | None:
        found = await line.kubectl.find("deployments", line.child)
        return found if found is not None and is_right(found) else None

    return await until(probe, f"repair of {what}", REPAIR_SECONDS, every=0.1)


async def test_a_deployment_that_was_deleted_or_edited_by_hand_is_repaired(stand: Stand) -> None:
    line = await stand.line()
    async with line.oracle(keys=20) as oracle:
        await line.start()
        original = await line.deployment()
        container = original["spec"]["template"]["spec"]["containers"][0]
        uid, image, args = original["metadata"]["uid"], container["image"], container["args"]

        await stand.kubectl.run("scale", "deployment", line.child, "--replicas=4")
        await repaired(line, "replicas", lambda found: found["spec"]["replicas"] == 1)
        await stand.kubectl.run("set", "image", f"deployment/{line.child}", "relay=example.test/other:1")
        await repaired(line, "image", lambda found: of_container(found, "image") == image)
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["sleep"]}]
        await stand.kubectl.run("patch", "deployment", line.child, "--type=json", "-p", json.dumps(patch))
        await repaired(line, "args", lambda found: of_container(found, "args") == args)
        await stand.kubectl.run("delete", "deployment", line.child, "--wait=false")
        await repaired(line, "the deleted Deployment", lambda found: found["metadata"]["uid"] != uid)

        await line.wait_event("DriftRepaired")
        await line.wait_pods(1)
        await oracle.writer.bulk(200)
        result = await oracle.verdict()
    assert result.passed, result.report()


def of_container(deployment: Object, field: str) -> object:
    return deployment["spec"]["template"]["spec"]["containers"][0][field]


async def test_a_config_map_that_was_deleted_or_edited_is_repaired(stand: Stand) -> None:
    edited, deleted = await stand.line("edited"), await stand.line("deleted")
    await asyncio.gather(edited.start(), deleted.start())
    before = {line.name: await config_of(line) for line in (edited, deleted)}
    spoiled = '{"data":{"relay.yaml":"spoiled"}}'
    await stand.kubectl.run("patch", "configmap", edited.child, "--type=merge", "-p", spoiled)
    await stand.kubectl.run("delete", "configmap", deleted.child)

    async def are_as_before() -> bool:
        return {line.name: await config_of(line) for line in (edited, deleted)} == before

    await until(are_as_before, "ConfigMaps as they were", 60)


async def config_of(line: Line) -> object:
    """What the relay's ConfigMap holds."""
    found = await line.kubectl.find("configmaps", line.child)
    return found and found["data"]


async def test_what_the_operator_does_not_own_is_left_alone(stand: Stand) -> None:
    line = await stand.line()
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": line.child, "namespace": stand.name},
        "data": {"mine": "yes"},
    }
    await stand.kubectl.apply(foreign)
    await line.apply()
    condition = await line.wait_condition("Accepted", "False", "InvalidSpec")
    assert line.child in condition["message"]
    assert (await stand.kubectl.get("configmaps", line.child))["data"] == {"mine": "yes"}
    await stand.kubectl.run("delete", "configmap", line.child)
    await line.wait_ready()

    await stand.kubectl.run("annotate", "deployment", line.child, "team=shop")
    await stand.kubectl.run("scale", "deployment", line.child, "--replicas=2")
    found = await repaired(line, "replicas", lambda found: found["spec"]["replicas"] == 1)
    assert found["metadata"]["annotations"]["team"] == "shop"
