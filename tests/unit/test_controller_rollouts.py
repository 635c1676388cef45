"""A leader that looks at several relays: who gets new pods, who waits, and what is kept meanwhile."""

from functools import partial
from typing import Any

import pytest

from outboxrelay.decisions.blindness import Key
from outboxrelay.errors import TargetFault
from outboxrelay.manifests.kinds import CONFIG_MAP, DEPLOYMENT, DISRUPTION_BUDGET, RELAY, SECRET
from tests.support.controller_bench import Bench
from tests.support.fake_kube import FakeKube
from tests.support.relay_bodies import relay_body, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime

CRITICAL: dict[str, Any] = {"isolation": {"tier": "Critical"}}


def body(name: str, generation: int = 1, /, **changes: Any) -> dict[str, Any]:
    table = {"source": {"table": {"name": f"outbox_{name}"}}}
    return relay_body(name, generation, **table, **{"scaling": {"replicas": 1}, **changes})


def started(kube: FakeKube, key: Key) -> None:
    """Kubernetes has made the pods that the Deployment asks for."""
    live = kube.objects.get((DEPLOYMENT.kind, key[0], f"{key[1]}-relay"))
    if live is not None:
        count = live["spec"]["replicas"]
        generation = live["metadata"]["generation"]
        numbers = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), count)
        live["status"] = {"observedGeneration": generation, **numbers}


async def round_of(bench: Bench, *keys: Key, seconds: float = 6) -> None:
    """Every relay is looked at; then its pods start, and status comes back through the watch."""
    for key in keys:
        await bench.look(key)
        started(bench.kube, key)
        bench.relays.deliver("MODIFIED", bench.kube.objects[RELAY.kind, key[0], key[1]])
    bench.clock.move(seconds)
    for key in keys:
        await until(partial(is_asked, bench, key), f"answers about {key}", 5, every=0.5)


async def is_asked(bench: Bench, key: Key) -> bool:
    """Whether database and brokers have answered since time passed."""
    results = bench.prober.results(key)
    return all(item is not None and item.at == bench.clock.monotonic() for item in (results.source, results.target))


async def settled(bench: Bench, *bodies: dict[str, Any]) -> list[Key]:
    """Relays that run."""
    bench.kube.put(SECRET, secret(uri="db.example"))
    keys = [bench.create(item) for item in bodies]
    for _ in range(10):
        await round_of(bench, *keys)
        if all(bench.condition(key)["status"] == "True" for key in keys):
            break
    return keys


def image_of(bench: Bench, key: Key) -> str:
    live = bench.kube.objects.get((DEPLOYMENT.kind, key[0], f"{key[1]}-relay"))
    return live["spec"]["template"]["spec"]["containers"][0]["image"] if live else ""


def config_of(bench: Bench, key: Key) -> str:
    return str(bench.kube.objects[CONFIG_MAP.kind, key[0], f"{key[1]}-relay"]["data"])


def budget_of(bench: Bench, key: Key) -> dict[str, Any] | None:
    return bench.kube.objects.get((DISRUPTION_BUDGET.kind, key[0], f"{key[1]}-relay"))


async def test_a_critical_relay_has_two_pods_a_budget_a_priority_and_is_spread() -> None:
    async with Bench().running() as bench:
        (key,) = await settled(bench, body("orders", **CRITICAL))
        live = bench.kube.objects[DEPLOYMENT.kind, "shop", "orders-relay"]
        assert live["spec"]["replicas"] == 2
        pod = live["spec"]["template"]["spec"]
        assert pod["priorityClassName"] == "vip"
        assert {item["topologyKey"] for item in pod["topologySpreadConstraints"]} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
        found = budget_of(bench, key)
        assert found is not None
        assert found["spec"]["selector"] == live["spec"]["selector"]
        assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-of-orders"


async def test_a_budget_that_is_deleted_comes_back_and_goes_with_the_tier() -> None:
    async with Bench().running() as bench:
        (key,) = await settled(bench, body("orders", **CRITICAL))
        bench.kube.remove(DISRUPTION_BUDGET, "shop", "orders-relay")
        await bench.look(key)
        assert budget_of(bench, key) is not None
        assert "DriftRepaired" in bench.events()
        bench.create(body("orders", 2))
        await bench.look(key)
        assert budget_of(bench, key) is None
        assert bench.kube.objects[DEPLOYMENT.kind, "shop", "orders-relay"]["spec"]["replicas"] == 1


async def test_a_budget_of_somebody_else_is_never_touched() -> None:
    async with Bench().running() as bench:
        theirs = {"metadata": {"namespace": "shop", "name": "orders-relay"}, "spec": {"maxUnavailable": 3}}
        bench.kube.put(DISRUPTION_BUDGET, theirs)
        (key,) = await settled(bench, body("orders"))
        assert bench.condition(key)["status"] == "True"
        bench.create(body("orders", 2, **CRITICAL))
        await bench.look(key)
        assert "PodDisruptionBudget orders-relay exists" in bench.condition(key, "Accepted")["message"]
        found = budget_of(bench, key)
        assert found is not None
        assert found["spec"] == {"maxUnavailable": 3}


async def test_a_first_start_waits_for_what_it_depends_on_and_says_so() -> None:
    async with Bench().running() as bench:
        bench.kube.put(SECRET, secret(uri="db.example"))
        later = bench.create(body("later", dependsOn=["first"]))
        await round_of(bench, later)
        assert image_of(bench, later) == ""
        assert bench.condition(later, "RolledOut")["reason"] == "DependencyNotFound"
        first = bench.create(body("first"))
        await round_of(bench, later)
        assert bench.condition(later)["reason"] == "WaitingForDependency"
        for _ in range(4):
            await round_of(bench, first, later)
        assert image_of(bench, later) == "relay:1"
        assert config_of(bench, later)
        assert bench.condition(later, "RolledOut")["reason"] == "UpToDate"


async def test_a_change_waits_for_a_dependency_that_fails_and_what_runs_is_left_as_it_is_but_scaled() -> None:
    async with Bench().running() as bench:
        first, later = await settled(bench, body("first"), body("later", dependsOn=["first"]))
        before = config_of(bench, later)
        bench.world.target_fault = TargetFault("BrokerUnavailable", "no broker answered")
        for _ in range(3):
            await round_of(bench, first, later)
        changes = {"dependsOn": ["first"], "poison": {"maxAttempts": 9}, "scaling": {"replicas": 3}}
        bench.create(body("later", 2, **changes))
        for _ in range(3):
            await round_of(bench, first, later)
        assert bench.condition(later, "RolledOut")["reason"] == "WaitingForDependency"
        assert config_of(bench, later) == before
        assert bench.kube.objects[DEPLOYMENT.kind, "shop", "later-relay"]["spec"]["replicas"] == 3
        bench.world.target_fault = None
        for _ in range(5):
            await round_of(bench, first, later)
        assert "maxAttempts: 9" in config_of(bench, later)
        assert bench.condition(later, "RolledOut")["reason"] == "UpToDate"


async def test_what_somebody_deletes_while_new_pods_wait_is_made_anew_from_the_newest_spec() -> None:
    async with Bench().running() as bench:
        first, later = await settled(bench, body("first"), body("later", dependsOn=["first"]))
        bench.world.target_fault = TargetFault("BrokerUnavailable", "no broker answered")
        for _ in range(3):
            await round_of(bench, first, later)
        bench.create(body("later", 2, dependsOn=["first"], poison={"maxAttempts": 9}))
        await round_of(bench, first, later)
        bench.kube.remove(CONFIG_MAP, "shop", "later-relay")
        for _ in range(8):
            await round_of(bench, first, later)
        assert "maxAttempts: 9" in config_of(bench, later)


async def test_a_circle_is_refused_with_its_path_and_stops_nothing_that_runs() -> None:
    async with Bench().running() as bench:
        first, later = await settled(bench, body("first"), body("later", dependsOn=["first"]))
        bench.create(body("first", 2, dependsOn=["later"]))
        for _ in range(2):
            await round_of(bench, first, later)
        for key, path in ((first, "first -> later -> first"), (later, "later -> first -> later")):
            condition = bench.condition(key, "Accepted")
            assert (condition["status"], condition["reason"]) == ("False", "DependencyCycle")
            assert path in condition["message"]
            assert bench.kube.objects[DEPLOYMENT.kind, "shop", f"{key[1]}-relay"]["spec"]["replicas"] == 1
        bench.create(body("first", 3))
        for _ in range(3):
            await round_of(bench, first, later)
        assert bench.condition(later)["status"] == "True"


async def test_a_new_leader_of_the_same_version_replaces_no_pod() -> None:
    async with Bench().running() as bench:
        keys = await settled(bench, body("a"), body("vip", **CRITICAL))
        before = [bench.kube.objects[DEPLOYMENT.kind, "shop", f"{key[1]}-relay"]["spec"] for key in keys]
    async with Bench(bench.kube).running() as after:
        for key in keys:
            after.relays.deliver("ADDED", after.kube.objects[RELAY.kind, key[0], key[1]])
        for _ in range(4):
            await round_of(after, *keys)
        assert [after.kube.objects[DEPLOYMENT.kind, "shop", f"{key[1]}-relay"]["spec"] for key in keys] == before
        assert all(after.condition(key, "RolledOut")["reason"] == "UpToDate" for key in keys)


async def upgraded(old: Bench, keys: list[Key], **options: Any) -> Bench:
    """A new version of the operator, which has been told of all relays."""
    bench = Bench(old.kube, image="relay:2", **options)
    for key in keys:
        bench.relays.deliver("ADDED", bench.kube.objects[RELAY.kind, key[0], key[1]])
    return bench


async def test_an_upgrade_goes_through_the_standard_relays_one_after_the_other_and_critical_ones_last() -> None:
    async with Bench().running() as bench:
        keys = await settled(bench, body("vip", **CRITICAL), body("a"), body("b"))
    order: list[str] = []
    async with (await upgraded(bench, keys, at_once=1)).running() as after:
        for _ in range(30):
            await round_of(after, *keys)
            new = [key[1] for key in keys if image_of(after, key) == "relay:2" and key[1] not in order]
            assert len(new) <= 1
            order += new
        assert order == ["a", "b", "vip"]


async def test_an_upgrade_survives_a_change_of_the_leader_and_scaling_in_the_midst_of_it() -> None:
    async with Bench().running() as bench:
        keys = await settled(bench, body("a"), body("b"), body("vip", **CRITICAL))
    async with (await upgraded(bench, keys, at_once=1)).running() as middle:
        while image_of(middle, keys[0]) == "relay:1":
            await round_of(middle, *keys)
        middle.create(body("vip", 2, isolation={"tier": "Critical"}, scaling={"replicas": 3}))
        await round_of(middle, *keys)
        assert [image_of(middle, key) for key in keys] == ["relay:2", "relay:1", "relay:1"]
        live = middle.kube.objects[DEPLOYMENT.kind, "shop", "vip-relay"]
        assert live["spec"]["replicas"] == 3
    second = await upgraded(middle, keys, at_once=1)
    second.clock.move(middle.clock.monotonic() - second.clock.monotonic())
    async with second.running():
        await round_of(second, *keys)
        assert [image_of(second, key) for key in keys] == ["relay:2", "relay:1", "relay:1"]
        for _ in range(25):
            await round_of(second, *keys)
        assert [image_of(second, key) for key in keys] == ["relay:2"] * 3


async def test_an_upgrade_stops_on_a_new_incident_says_so_and_goes_on_by_itself() -> None:
    async with Bench().running() as bench:
        keys = await settled(bench, body("a"), body("b"))
    async with (await upgraded(bench, keys, at_once=1)).running() as after:
        while image_of(after, keys[0]) == "relay:1":
            await round_of(after, *keys)
        after.world.target_fault = TargetFault("BrokerUnavailable", "no broker answered")
        for _ in range(20):
            await round_of(after, *keys)
        assert image_of(after, keys[1]) == "relay:1"
        condition = after.condition(keys[1], "RolledOut")
        assert condition["reason"] == "UpgradeStopped"
        assert "shop/a has the incident BrokerUnavailable" in condition["message"]
        assert "UpgradeStopped" in after.events()
        after.world.target_fault = None
        for _ in range(20):
            await round_of(after, *keys)
        assert image_of(after, keys[1]) == "relay:2"
        assert after.condition(keys[1], "RolledOut")["reason"] == "UpToDate"


async def test_people_can_let_an_upgrade_go_on_in_spite_of_an_incident() -> None:
    async with Bench().running() as bench:
        keys = await settled(bench, body("a"), body("b"))
    async with (await upgraded(bench, keys, at_once=1)).running() as after:
        while image_of(after, keys[0]) == "relay:1":
            await round_of(after, *keys)
        after.world.target_fault = TargetFault("BrokerUnavailable", "no broker answered")
        for _ in range(20):
            await round_of(after, *keys)
        assert image_of(after, keys[1]) == "relay:1"
        told = after.kube.objects[RELAY.kind, *keys[0]]
        told["metadata"]["annotations"] = {"outboxrelay.dev/rollout": "Proceed"}
        for _ in range(3):
            await round_of(after, *keys)
        assert image_of(after, keys[1]) == "relay:2"
