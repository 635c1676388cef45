"""What is missing, changed or another's beside a relay: it is told, repaired, or left alone, on fakes."""

import pytest

from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import CONFIG_MAP, DEPLOYMENT, SECRET
from tests.support.controller_bench import Bench
from tests.support.delivering_relay import CHILD, KEY, delivering, running_deployment, settle
from tests.support.relay_bodies import relay_body, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime


async def test_a_missing_secret_is_named_and_the_relay_starts_when_it_is_there() -> None:
    async with Bench().running() as bench:
        bench.create(relay_body())
        found = await settle(bench, status="False", reason="SecretNotFound")
        assert "Secret orders-db not found in namespace shop" in found["message"]
        assert CHILD not in bench.kube.objects
        bench.kube.put(SECRET, secret(other="x"))
        # A Secret is read again after half a minute: by small steps that took a busy machine too long.
        bench.clock.move(30)
        found = await settle(bench, status="False", reason="SecretKeyMissing")
        assert "has no key uri" in found["message"]
        bench.kube.put(SECRET, secret(uri="db.example"))
        bench.clock.move(30)
        await bench.look(KEY)
        running_deployment(bench)
        await settle(bench, status="True")


async def test_a_secret_that_vanishes_leaves_the_pods_alone() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        before = bench.kube.objects[CHILD]
        bench.kube.remove(SECRET, "shop", "orders-db")
        bench.clock.move(30)
        await settle(bench, status="False", reason="SecretNotFound")
        assert bench.kube.objects[CHILD] == before


async def test_pods_that_are_not_asked_are_not_said_to_be_silent() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        del bench.kube.objects[SECRET.kind, "shop", "orders-db"]
        bench.clock.move(31)
        await settle(bench, status="False", reason="SecretNotFound")
        for _ in range(12):
            bench.clock.move(5)
            await bench.look(KEY)
        assert [item["type"] for item in bench.status(KEY)["incidents"]] == ["SecretMissing"]


async def test_a_changed_secret_rolls_the_pods_within_30_seconds_and_is_told() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        before = bench.kube.objects[CHILD]["spec"]["template"]
        bench.kube.put(SECRET, secret(uri="other.example"))
        bench.clock.move(30)
        await bench.look(KEY)
        assert bench.kube.objects[CHILD]["spec"]["template"] != before
        assert "RollingOut" in bench.events()

        async def asked_anew() -> bool:
            return bench.world.asked_with[-1] == "other.example"

        await until(asked_anew, "question with the new password", 5, every=0.5)


async def test_a_deployment_that_somebody_deletes_or_edits_is_restored_and_told() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.kube.remove(DEPLOYMENT, "shop", "orders-relay")
        await bench.look(KEY)
        assert CHILD in bench.kube.objects
        edited = {**bench.kube.objects[CHILD]}
        edited["spec"] = {**edited["spec"], "replicas": 7}
        bench.kube.put(DEPLOYMENT, edited)
        await bench.look(KEY)
        assert bench.kube.objects[CHILD]["spec"]["replicas"] == 1
        assert bench.events().count("DriftRepaired") == 2


async def test_somebody_who_insists_is_not_fought_in_a_tight_loop() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.kube.calls.clear()
        for second in range(60):
            edited = {**bench.kube.objects[CHILD]}
            edited["spec"] = {**edited["spec"], "replicas": 7 + second}
            bench.kube.put(DEPLOYMENT, edited)
            await bench.pass_time(1, KEY)
            await bench.look(KEY)
        repairs = [call for call in bench.kube.calls if call[:2] == ("apply", "Deployment")]
        assert 5 < len(repairs) <= 9


async def test_what_was_added_to_a_deployment_by_others_is_left() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.kube.objects[CHILD]["metadata"]["annotations"]["team"] = "shop"
        await bench.look(KEY)
        assert bench.kube.objects[CHILD]["metadata"]["annotations"]["team"] == "shop"
        assert "DriftRepaired" not in bench.events()


async def test_an_object_of_somebody_else_is_left_and_the_relay_starts_when_it_is_gone() -> None:
    async with Bench().running() as bench:
        bench.kube.put(SECRET, secret(uri="db.example"))
        bench.kube.put(CONFIG_MAP, {"metadata": {"namespace": "shop", "name": "orders-relay"}, "data": {"a": "b"}})
        bench.create(relay_body())
        found = await settle(bench, status="False", reason="InvalidSpec")
        assert "ConfigMap orders-relay exists and was not made by the operator" in found["message"]
        await bench.look(KEY)
        assert CHILD not in bench.kube.objects
        bench.kube.remove(CONFIG_MAP, "shop", "orders-relay")
        await bench.look(KEY)
        assert (CONFIG_MAP.kind, "shop", "orders-relay") in bench.kube.objects


async def test_a_template_that_kubernetes_refuses_is_the_specs_fault_with_its_path() -> None:
    async with Bench().running() as bench:
        bench.kube.put(SECRET, secret(uri="db.example"))
        bench.create(relay_body())
        message = 'Deployment.apps "orders-relay" is invalid: spec.template.spec.affinity.x: Required value'
        bench.kube.refuse = lambda verb, kind: (
            ClusterFault(422, "Invalid", message) if (verb, kind) == ("apply", "Deployment") else None
        )
        found = await settle(bench, status="False", reason="InvalidSpec")
        assert "spec.template.affinity.x: Required value" in found["message"]
        attempts = len(bench.kube.writes())
        await bench.look(KEY)
        assert len(bench.kube.writes()) == attempts
        bench.kube.refuse = lambda _verb, _kind: None
        bench.create(relay_body(generation=2, template={"labels": {"a": "b"}}))
        await bench.look(KEY)
        assert CHILD in bench.kube.objects


async def test_children_are_completed_after_the_api_failed_between_two_of_them() -> None:
    async with Bench().running() as bench:
        bench.kube.put(SECRET, secret(uri="db.example"))
        bench.create(relay_body())
        bench.kube.refuse = lambda verb, kind: (
            ClusterFault(500, "x", "etcd") if (verb, kind) == ("apply", "ConfigMap") else None
        )
        with pytest.raises(ClusterFault):
            await bench.look(KEY)
        bench.kube.refuse = lambda _verb, _kind: None
        await bench.look(KEY)
        assert {kind for kind, _, name in bench.kube.objects if name == "orders-relay"} == {
            "ServiceAccount",
            "ConfigMap",
            "Deployment",
        }
