"""The controller as a process against the real API server: children, drift, refusals, leading. No pod needs to run."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broken_manifests import BROKEN, URIS
from tests.support.controller_process import controller
from tests.support.crd_rules import minimal
from tests.support.kubectl import Kubectl, Object
from tests.support.merging import merged
from tests.support.rig import Rig
from tests.support.waiting import until

pytestmark = pytest.mark.needs_cluster


@pytest.fixture
async def kubectl(outboxrelays: None) -> AsyncIterator[Kubectl]:
    """A namespace of its own, with the Secret that relays refer to."""
    tool = Kubectl(f"controller-{uuid.uuid4().hex[:6]}", Rig.from_environment().context)
    await tool.run("create", "namespace", tool.namespace)
    yield tool
    await tool.run("delete", "namespace", tool.namespace, "--wait=false")


def relay(name: str, **changes: Any) -> Object:
    """A relay on a table of its own."""
    body = merged(minimal(), {"metadata": {"name": name}, "spec": changes})
    body["spec"]["source"]["table"] = {"name": name}
    return body


async def make_secrets(kubectl: Kubectl, relays: list[Object]) -> None:
    """The Secrets that the relays refer to, and the broken ones."""
    refs = {body["spec"]["source"]["database"]["uriSecretRef"]["name"] for body in relays} | {"uris"}
    for name in refs:
        data = URIS if name == "uris" else {}
        values = {**data, **dict.fromkeys(("uri",), "postgresql://u:p@127.0.0.1:9/d")}
        literals = [f"--from-literal={key}={value}" for key, value in values.items()]
        await kubectl.run("create", "secret", "generic", name, *literals)


async def condition(kubectl: Kubectl, name: str, kind: str = "Accepted") -> Object:
    """A condition of a relay; empty where it is not written yet."""
    status = (await kubectl.get("outboxrelays", name)).get("status", {})
    return next((item for item in status.get("conditions", []) if item["type"] == kind), {})


async def applied(kubectl: Kubectl, name: str) -> Object:
    """The relay's Deployment, once it is there."""

    async def probe() -> Object | None:
        return await kubectl.find("deployments", f"{name}-relay")

    return await until(probe, f"Deployment of {name}", 20)


async def test_specs_that_cannot_be_carried_out_say_where_and_touch_no_other_relay(
    kubectl: Kubectl, tmp_path: Path, unused_tcp_port: int
) -> None:
    healthy, relays = relay("healthy"), [relay(item.name, **item.changes) for item in BROKEN]
    assert len(relays) >= 30
    await make_secrets(kubectl, [healthy])
    async with controller(tmp_path, kubectl.namespace, port=unused_tcp_port) as running:
        await kubectl.apply(healthy)
        before = await applied(kubectl, "healthy")
        await kubectl.apply(*relays)
        wrong: list[str] = []

        async def all_refused() -> bool:
            found = {body["metadata"]["name"]: body for body in await kubectl.list("outboxrelays")}
            wrong[:] = [problem for item in BROKEN if (problem := complaint(item.name, item.points_at, found))]
            return not wrong

        await until(all_refused, "refusal of every broken spec", 60, last=lambda: wrong)
        after = await kubectl.get("deployments", "healthy-relay")
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        assert (await condition(kubectl, "healthy"))["status"] == "True"
        assert running.process.returncode is None
        assert "reconcile_broken" not in running.text()
        assert "probe_broken" not in running.text()
        assert await running.stop() == 0


def complaint(name: str, points_at: str, found: dict[str, Object]) -> str:
    """What is wrong with how a broken relay is shown."""
    conditions = found[name].get("status", {}).get("conditions", [])
    accepted: Object = next((item for item in conditions if item["type"] == "Accepted"), {})
    right = (accepted.get("status"), accepted.get("reason")) == ("False", "InvalidSpec")
    return "" if right and points_at in accepted["message"] else f"{name}: {accepted} does not point at {points_at}"


async def test_an_operator_that_comes_back_changes_nothing(
    kubectl: Kubectl, tmp_path: Path, unused_tcp_port: int
) -> None:
    await make_secrets(kubectl, [relay("orders")])
    await kubectl.apply(relay("orders"))
    async with controller(tmp_path, kubectl.namespace, port=unused_tcp_port) as first:
        before = await applied(kubectl, "orders")
        assert await first.stop() == 0
    async with controller(tmp_path, kubectl.namespace, port=unused_tcp_port, identity="second") as second:

        async def looked() -> bool:
            return 'reconciles_total{result="done"}' in (await second.get("/metrics"))[1]

        await until(looked, "look at the relay", 20)
        after = await kubectl.get("deployments", "orders-relay")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"]


async def test_the_standby_takes_over_at_once_when_the_leader_is_told_to_stop(
    kubectl: Kubectl, tmp_path: Path, unused_tcp_port_factory: Any
) -> None:
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with (
        controller(tmp_path, kubectl.namespace, port=ports[0], identity="first") as first,
        controller(tmp_path, kubectl.namespace, port=ports[1], identity="second", wait=False) as second,
    ):

        async def standing_by() -> bool:
            return await second.get("/readyz") == (200, "standing by\n")

        await until(standing_by, "standby", 30)
        assert await first.is_working()
        assert await first.stop() == 0
        await until(second.is_working, "successor", 10)
        lease = await kubectl.get("leases", "outbox-relay-operator")
        assert lease["spec"]["holderIdentity"] == "second"


async def test_a_leader_that_was_displaced_ends_with_an_error(
    kubectl: Kubectl, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with controller(tmp_path, kubectl.namespace, port=unused_tcp_port) as running:
        patch = json.dumps({"spec": {"holderIdentity": "somebody", "renewTime": "2099-01-01T00:00:00.000000Z"}})
        await kubectl.run("patch", "lease", "outbox-relay-operator", "--type=merge", "-p", patch)
        async with asyncio.timeout(20):
            assert await running.process.wait() == 1
        assert "LeadershipLost" in running.text()


async def test_a_relay_and_its_namespace_are_gone_at_once_without_an_operator(
    kubectl: Kubectl, tmp_path: Path, unused_tcp_port: int
) -> None:
    await make_secrets(kubectl, [relay("orders")])
    await kubectl.apply(relay("orders"))
    async with controller(tmp_path, kubectl.namespace, port=unused_tcp_port) as running:
        await applied(kubectl, "orders")
        assert "finalizers" not in (await kubectl.get("outboxrelays", "orders"))["metadata"]
        await running.stop()
    await kubectl.run("delete", "outboxrelay", "orders", "--wait=true", "--timeout=10s")

    async def gone() -> bool:
        found = [await kubectl.find(kind, "orders-relay") for kind in ("deployments", "configmaps", "serviceaccounts")]
        return found == [None, None, None]

    await until(gone, "end of the children", 30)
