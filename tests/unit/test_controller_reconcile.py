"""Whole looks at relays, on fakes: from a manifest to children, status and Events, and back to health."""

import pytest

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.conditions import NO_PROGRESS_SECONDS
from outboxrelay.decisions.facts import TableCount
from outboxrelay.errors import SourceFault, TargetFault
from outboxrelay.manifests.config import config_text
from outboxrelay.manifests.kinds import DEPLOYMENT, RELAY, SECRET
from tests.support.controller_bench import Bench
from tests.support.delivering_relay import KEY, delivering, running_deployment, settle
from tests.support.fake_kube import FakeKube
from tests.support.relay_bodies import held_row, relay_body, report, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime


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
