"""Whole looks at relays, on fakes: from a manifest to children, status and Events, and back to health."""

from typing import Any

import pytest

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.conditions import NO_PROGRESS_SECONDS
from outboxrelay.decisions.facts import TableCount
from outboxrelay.errors import ClusterFault, SourceFault, TargetFault
from outboxrelay.manifests.config import config_text
from outboxrelay.manifests.kinds import CONFIG_MAP, DEPLOYMENT, RELAY, SECRET
from tests.support.controller_bench import Bench
from tests.support.fake_kube import FakeKube
from tests.support.relay_bodies import held_row, pod_body, relay_body, report, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime

KEY = ("shop", "orders")
CHILD = (DEPLOYMENT.kind, "shop", "orders-relay")


def running_deployment(bench: Bench) -> None:
    """What Kubernetes does with the Deployment."""
    body = bench.kube.objects[CHILD]
    wanted = body["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), wanted)
    body["status"] = {**counts, "observedGeneration": body["metadata"]["generation"]}
    bench.cache.pod_bodies = [pod_body()] if wanted else []
    bench.world.reports["10.0.0.1"] = report(delivered=1)


async def settle(bench: Bench, key: tuple[str, str] = KEY, **expected: str) -> dict[str, Any]:
    """Look until Ready is as expected."""

    async def matches() -> dict[str, Any] | None:
        bench.clock.move(0.1)
        await bench.look(key)
        found = bench.condition(key)
        return found if all(found.get(field) == value for field, value in expected.items()) else None

    return await until(matches, f"Ready {expected}", 30, every=0.5, last=lambda: bench.condition(key))


async def delivering(bench: Bench) -> None:
    """A relay that is well."""
    bench.kube.put(SECRET, secret(uri="db.example"))
    bench.create(relay_body())
    await bench.look(KEY)
    running_deployment(bench)
    await settle(bench, status="True")


async def test_a_manifest_becomes_ready() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        scaling = bench.status(KEY)["scaling"]
        assert (scaling["mode"], scaling["desiredReplicas"], scaling["summary"]) == ("Auto", 1, "1/1/8")
        assert bench.status(KEY)["selector"] == "app.kubernetes.io/name=outbox-relay,outboxrelay.dev/relay=orders"


async def test_looking_again_at_a_relay_that_is_well_writes_nothing() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.kube.calls.clear()
        for _ in range(20):
            await bench.pass_time(5, KEY)
            await bench.look(KEY)
        assert bench.kube.writes() == []


async def test_looking_again_makes_no_pod_template_as_long_as_spec_secret_and_image_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def counted(manifest: RelayManifest) -> str:
        made.append(manifest.identity.name)
        return config_text(manifest)

    monkeypatch.setattr("outboxrelay.manifests.pod.config_text", counted)
    async with Bench().running() as bench:
        await delivering(bench)
        assert made
        made.clear()
        for _ in range(20):
            await bench.pass_time(5, KEY)
            await bench.look(KEY)
        assert made == []
        await bench.pass_time(31, KEY)
        bench.kube.put(SECRET, secret(uri="other.example"))
        await bench.look(KEY)
        assert made


async def test_an_operator_that_comes_back_changes_neither_children_nor_status() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        await delivering(bench)
    before = {place: body for place, body in kube.objects.items() if place[0] != "Event"}
    async with Bench(kube).running() as successor:
        running_deployment(successor)
        successor.relays.deliver(None, kube.objects[RELAY.kind, "shop", "orders"])
        for _ in range(20):
            successor.clock.move(0.2)
            await successor.look(KEY)
        await settle(successor, status="True")
    after = {place: body for place, body in kube.objects.items() if place[0] != "Event"}
    assert {place: body["metadata"]["resourceVersion"] for place, body in before.items()} == {
        place: body["metadata"]["resourceVersion"] for place, body in after.items()
    }


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        ("source", Reason.AUTHENTICATION_FAILED),
        ("source", Reason.CONNECT_FAILED),
        ("source", Reason.READ_ONLY),
        ("source", Reason.TABLE_NOT_FOUND),
        ("source", Reason.SCHEMA_MISMATCH),
        ("target", Reason.TOPIC_NOT_FOUND),
        ("target", Reason.BROKER_UNAVAILABLE),
    ],
)
async def test_a_fault_shows_its_reason_in_status_and_an_event_and_heals_by_itself(side: str, reason: Reason) -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        if side == "source":
            bench.world.source_fault = SourceFault(reason, "db.example:5432: why")
        else:
            bench.world.target_fault = TargetFault(reason, "Kafka at kafka:9092: why")
        found = await settle(bench, status="False", reason=reason)
        assert "why" in found["message"]
        assert reason in bench.events()
        bench.world.source_fault = bench.world.target_fault = None
        await settle(bench, status="True")


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


async def test_of_two_relays_on_one_table_the_younger_is_refused_and_takes_over_when_the_older_goes() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        younger = relay_body("later")
        younger["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        bench.create(younger)
        found = await settle(bench, ("shop", "later"), status="False", reason="ConflictingRelay")
        assert "shop/orders is older" in found["message"]
        assert (DEPLOYMENT.kind, "shop", "later-relay") not in bench.kube.objects
        await settle(bench, status="True")
        bench.relays.deliver("DELETED", bench.kube.objects[RELAY.kind, "shop", "orders"])
        bench.woken.clear()
        await bench.look(KEY)
        assert ("shop", "later") in bench.woken
        await bench.look(("shop", "later"))
        assert (DEPLOYMENT.kind, "shop", "later-relay") in bench.kube.objects


async def test_held_rows_are_told_while_the_rest_is_ready_and_are_no_backlog() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.world.reports["10.0.0.1"] = report(delivered=1, held=(held_row(),))

        async def told() -> bool:
            await bench.look(KEY)
            return "RowHeld" in bench.events()

        await until(told, "Event RowHeld", 5, every=0.5)
        assert bench.condition(KEY)["status"] == "True"
        assert bench.status(KEY)["held"]["keys"] == 1

        async def excluded() -> bool:
            return bench.world.exclusions[-1].keys == ("k1",)

        await until(excluded, "count without the held key", 5, every=0.5)


async def test_rows_that_do_not_move_are_told_after_20_seconds() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.world.counted = TableCount(rows=5, exact=True, oldest_age=3.0)
        await settle(bench, status="True", reason="Delivering")

        async def stuck() -> bool:
            bench.clock.move(1)
            await bench.look(KEY)
            return bench.condition(KEY).get("reason") == "NoProgress"

        await until(stuck, "NoProgress", 5, every=0.5)


async def test_the_moment_from_which_rows_that_do_not_move_are_a_stall_is_not_slept_through() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.world.counted = TableCount(rows=5, exact=True, oldest_age=3.0)
        await settle(bench, status="True", reason="Delivering")
        bench.clock.move(NO_PROGRESS_SECONDS - 4)
        assert 0 < (await bench.look(KEY) or 0.0) <= 4
        assert bench.condition(KEY)["reason"] != "NoProgress"


async def test_a_deleted_relay_is_forgotten_and_nothing_is_written() -> None:
    async with Bench().running() as bench:
        await delivering(bench)
        bench.relays.deliver("DELETED", bench.kube.objects[RELAY.kind, "shop", "orders"])
        bench.kube.calls.clear()
        assert await bench.look(KEY) is None
        assert bench.kube.calls == []
        assert bench.prober.results(KEY).source is None
