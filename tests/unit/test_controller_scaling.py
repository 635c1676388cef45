"""Scaling in whole looks at a relay, on fakes: who decides, what is written, told and counted."""

import pytest

from outboxrelay.decisions.facts import TableCount
from outboxrelay.errors import ClusterFault, TargetFault
from outboxrelay.manifests.kinds import DEPLOYMENT, RELAY
from tests.support.controller_bench import Bench
from tests.support.relay_bodies import relay_body
from tests.support.scaled_relay import BACKLOG, CHILD, EMPTY, KEY, asked, begin, live, pods_run

pytestmark = pytest.mark.looptime


async def test_a_backlog_brings_pods_in_steps_and_each_step_is_an_event_with_its_numbers() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        seen = [asked(bench)]
        for _ in range(30):
            await live(bench, 5)
            if asked(bench) != seen[-1]:
                seen.append(asked(bench))
        assert seen == [1, 3, 6, 8]
        assert bench.events().count("ScaledUp") == 3
        messages = [body["message"] for (kind, _, _), body in bench.kube.objects.items() if kind == "Event"]
        assert any("1 to 3 pods: more pods are needed to keep up (40000 rows wait" in text for text in messages)
        assert bench.condition(KEY, "ScalingActive")["reason"] == "AtMaximum"
        assert bench.condition(KEY, "LagWithinObjective")["reason"] == "ObjectiveMissed"
        scaling = bench.status(KEY)["scaling"]
        assert (scaling["desiredReplicas"], scaling["summary"]) == (8, "8/8/8")
        assert scaling["lastStep"]["to"] == 8
        decision = scaling["lastDecision"]
        assert (decision["capacityPerSecond"], decision["capacityLearned"], decision["maximum"]) == (100, True, 8)
        assert next(gate["name"] for gate in decision["gates"]) == "MetricsUnavailable"


async def test_the_operator_never_writes_the_spec() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        before = bench.kube.objects[RELAY.kind, *KEY]["spec"]
        await live(bench, 60)
        assert asked(bench) > 1
        assert bench.kube.objects[RELAY.kind, *KEY]["spec"] == before
        assert {kind for verb, kind, _ in bench.kube.writes() if verb == "patch"} <= {RELAY.kind, "Event"}


async def test_whoever_sets_replicas_is_obeyed_whatever_waits() -> None:
    for spec in ({"replicas": 2}, {"mode": "Manual", "replicas": 2}, {"mode": "External", "replicas": 2}):
        async with Bench().running() as bench:
            bench.world.counted = BACKLOG
            await begin(bench, scaling=spec)
            await live(bench, 60)
            assert asked(bench) == 2
            assert bench.condition(KEY, "ScalingActive")["reason"] == spec.get("mode", "Manual")
            assert bench.status(KEY)["scaling"]["summary"] == "2/2"
            assert "lastDecision" not in bench.status(KEY)["scaling"]


async def test_kubectl_scale_takes_over_and_gives_back_without_a_jump() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        bench.create(relay_body(scaling={"replicas": 5}))
        await live(bench, 60)
        assert asked(bench) == 5
        bench.world.counted = EMPTY
        # What was counted before must not be what the first decision of its own rests on.
        await live(bench, 20, each=10.0, full=0.0)
        bench.create(relay_body())
        await live(bench, 290, each=10.0, full=0.0)
        assert asked(bench) == 5
        await live(bench, 300, each=10.0, full=0.0)
        assert asked(bench) < 5


async def test_a_dry_run_tells_what_it_would_do_once_and_changes_nothing() -> None:
    for spec, replicas in (({"dryRun": True}, 1), ({"dryRun": True, "replicas": 2}, 2)):
        async with Bench().running() as bench:
            bench.world.counted = BACKLOG
            await begin(bench, scaling=spec)
            await live(bench, 60)
            assert asked(bench) == replicas
            condition = bench.condition(KEY, "ScalingActive")
            assert condition["reason"] == "DryRun"
            assert "pods would be asked for" in condition["message"]
            scaling = bench.status(KEY)["scaling"]
            assert scaling["lastDecision"]["desired"] > replicas == scaling["desiredReplicas"]
            assert "ScaledUp" not in bench.events()


async def test_brokers_that_are_down_change_no_pods_and_are_the_reason() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        bench.world.target_fault = TargetFault("BrokerUnavailable", "Kafka at kafka:9092: refused")
        await begin(bench)
        await live(bench, 60)
        assert asked(bench) == 1
        assert bench.condition(KEY, "ScalingActive")["reason"] == "TargetDown"


async def test_pods_that_do_not_answer_change_no_pods() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 10)
        held = asked(bench)
        for _ in range(20):
            pods_run(bench)
            bench.world.reports.clear()
            bench.clock.move(5)
            await bench.look(KEY)
        assert asked(bench) == held
        assert bench.condition(KEY, "ScalingActive") | {"status": "Unknown", "reason": "MetricsUnavailable"} == (
            bench.condition(KEY, "ScalingActive")
        )


async def test_a_pause_holds_the_pods_and_a_stop_ends_them() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 20)
        paused = asked(bench)
        bench.create(relay_body(state="Paused"))
        await live(bench, 60)
        assert (asked(bench), bench.condition(KEY, "ScalingActive")["reason"]) == (paused, "Paused")
        bench.create(relay_body(state="Stopped"))
        await bench.look(KEY)
        assert asked(bench) == 0
        await live(bench, 10)
        bench.create(relay_body())
        await bench.look(KEY)
        assert asked(bench) == 1


async def test_a_pause_forgets_nothing() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 20)
        held = asked(bench)
        bench.create(relay_body(state="Paused"))
        await live(bench, 20, each=0.0, full=0.0)
        edited = {**bench.kube.objects[CHILD]}
        edited["spec"] = {**edited["spec"], "replicas": 7}
        bench.kube.put(DEPLOYMENT, edited)
        await bench.look(KEY)
        assert asked(bench) == held
        bench.create(relay_body())
        await bench.look(KEY)
        assert bench.status(KEY)["scaling"]["lastDecision"]["capacityLearned"] is True


async def test_a_relay_sleeps_where_that_is_allowed_and_wakes_at_the_first_row() -> None:
    async with Bench().running() as bench:
        await begin(bench, scaling={"minReplicas": 0, "idleSeconds": 30})
        await live(bench, 60, each=0.0, full=0.0)
        assert asked(bench) == 0
        await live(bench, 10, each=0.0)
        assert bench.condition(KEY) | {"status": "True", "reason": "Idle"} == bench.condition(KEY)
        assert bench.status(KEY)["scaling"]["summary"] == "0/0/8"
        bench.world.counted = TableCount(rows=1, exact=True, oldest_age=1.0)
        await live(bench, 5)
        assert asked(bench) == 1
        assert [reason for reason in bench.events() if reason in ("ScaledToZero", "Woken")] == ["ScaledToZero", "Woken"]


async def test_a_sleeping_relay_keeps_its_table_from_a_younger_one() -> None:
    async with Bench().running() as bench:
        await begin(bench, scaling={"minReplicas": 0, "idleSeconds": 30})
        await live(bench, 60, each=0.0, full=0.0)
        assert asked(bench) == 0
        younger = relay_body("later")
        younger["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        bench.create(younger)
        await bench.look(("shop", "later"))
        assert bench.condition(("shop", "later"))["reason"] == "ConflictingRelay"


async def test_replicas_that_somebody_changes_by_hand_are_restored_to_what_was_decided() -> None:
    async with Bench().running() as bench:
        await begin(bench, full=0.5, scaling={"minReplicas": 2})
        edited = {**bench.kube.objects[CHILD]}
        edited["spec"] = {**edited["spec"], "replicas": 7}
        bench.kube.put(DEPLOYMENT, edited)
        await bench.look(KEY)
        assert asked(bench) == 2
        assert "DriftRepaired" in bench.events()


async def test_a_step_that_the_api_server_does_not_take_is_decided_anew_and_told_once() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        bench.kube.refuse = lambda verb, kind: (
            ClusterFault(500, "x", "etcd") if (verb, kind) == ("apply", "Deployment") else None
        )
        for _ in range(4):
            pods_run(bench)
            await bench.pass_time(5, KEY)
            try:
                await bench.look(KEY)
            except ClusterFault:
                continue
        assert "ScaledUp" not in bench.events()
        bench.kube.refuse = lambda _verb, _kind: None
        await live(bench, 5)
        assert asked(bench) == 3
        assert bench.events().count("ScaledUp") == 1


async def test_a_step_that_is_refused_for_good_is_not_told_as_taken() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        bench.kube.refuse = lambda verb, kind: (
            ClusterFault(403, "Forbidden", "exceeded quota: small") if (verb, kind) == ("apply", "Deployment") else None
        )
        await live(bench, 30)
        assert asked(bench) == 1
        assert "ScaledUp" not in bench.events()
        assert "outboxrelay_scaling_steps_total{" not in bench.metrics.text().decode()


async def test_numbers_that_move_are_written_every_15_seconds_at_most() -> None:
    async with Bench().running() as bench:
        await begin(bench, scaling={"minReplicas": 2, "maxReplicas": 2})
        await live(bench, 60, full=0.2)
        bench.kube.calls.clear()
        for number in range(60):
            bench.world.counted = TableCount(rows=100 + 37 * number, exact=True, oldest_age=1.0)
            await live(bench, 5, each=50.0 + number, full=0.2)
        writes = [call for call in bench.kube.writes() if call[1] == RELAY.kind]
        assert 15 <= len(writes) <= 21


async def test_metrics_show_what_was_decided_and_are_gone_with_the_relay() -> None:
    async with Bench().running() as bench:
        bench.world.counted = BACKLOG
        await begin(bench)
        await live(bench, 20)
        text = bench.metrics.text().decode()
        of = 'namespace="shop",relay="orders"'
        assert f"outboxrelay_scaling_desired_replicas{{{of}}} {asked(bench)}.0" in text
        assert f'outboxrelay_scaling_steps_total{{kind="ScaledUp",{of}}}' in text
        assert f"outboxrelay_scaling_capacity_rows_per_second{{{of}}} 100.0" in text
        assert text.count("outboxrelay_scaling_active{") == 1
        bench.relays.deliver("DELETED", bench.kube.objects[RELAY.kind, *KEY])
        await bench.look(KEY)
        assert of not in bench.metrics.text().decode()
