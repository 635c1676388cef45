"""Incidents of whole relays on fakes: status, Events, notices and metrics, and what a new leader makes of them."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from outboxrelay.api.names import Reason
from outboxrelay.controller.incident_metrics import IncidentMetrics
from outboxrelay.errors import ClusterFault, SourceFault, TargetFault
from outboxrelay.manifests.kinds import DEPLOYMENT, RELAY, SECRET
from tests.support.controller_bench import Bench
from tests.support.fake_kube import FakeKube
from tests.support.relay_bodies import held_row, pod_body, relay_body, report, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime

KEY = ("shop", "orders")
BROKER = TargetFault(Reason.BROKER_UNAVAILABLE, "Kafka at kafka:9092: no answer")


def names(count: int) -> list[str]:
    return [f"r{number:03}" for number in range(count)]


async def started(bench: Bench, relays: list[str]) -> None:
    """Relays that deliver, each from a database of its own to one cluster of brokers."""
    for name in relays:
        bench.kube.put(SECRET, secret(f"{name}-db", uri=f"{name}.example"))
        body = relay_body(name)
        body["spec"]["source"]["database"]["uriSecretRef"]["name"] = f"{name}-db"
        key = bench.create(body)
        await bench.look(key)
        child = bench.kube.objects[DEPLOYMENT.kind, "shop", f"{name}-relay"]
        counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), 1)
        child["status"] = {**counts, "observedGeneration": child["metadata"]["generation"]}
    await with_pods(bench, relays)


async def with_pods(bench: Bench, relays: list[str]) -> None:
    """Each relay has a pod, and it has answered."""
    for number, name in enumerate(relays):
        address, pod = f"10.0.{number // 200}.{number % 200 + 1}", f"{name}-relay-1"
        bench.cache.pods_of["shop", name] = [pod_body(pod, podIP=address)]
        bench.world.reports[address] = report(member=pod, uid=f"uid-of-{name}", delivered=1)
        await bench.look(("shop", name))

    async def heard() -> bool:
        return all(bench.prober.results(("shop", name)).reports for name in relays)

    await until(heard, "reports", 20, every=0.5)
    await looks(bench, relays, 2)


async def looks(bench: Bench, relays: list[str], count: int) -> None:
    """Looks at all of them, 5 s apart, with fresh answers."""
    for _ in range(count):
        await bench.pass_time(5, *(("shop", name) for name in relays))
        for name in relays:
            await bench.look(("shop", name))


def incidents(bench: Bench, name: str = "orders") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.status(("shop", name)).get("incidents", [])
    return found


def open_types(bench: Bench, name: str = "orders") -> list[str]:
    return [item["type"] for item in incidents(bench, name) if item["state"] == "Open"]


def events(bench: Bench, reason: str) -> list[dict[str, Any]]:
    found = [body for (kind, _, _), body in bench.kube.objects.items() if kind == "Event"]
    return [body for body in found if body["reason"] == reason]


async def test_a_fault_is_one_incident_with_one_event_and_one_notice_at_each_end() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders"])
        assert (bench.status(KEY)["openIncidents"], incidents(bench)) == (0, [])
        bench.world.target_fault = BROKER
        await looks(bench, ["orders"], 6)
        (item,) = incidents(bench)
        assert (item["type"], item["state"], item["scope"]) == ("BrokerUnavailable", "Open", "kafka:9092")
        assert item["runbook"] == "https://books.example/incidents/BrokerUnavailable.md"
        assert bench.status(KEY)["openIncidents"] == 1
        bench.world.target_fault = None
        await looks(bench, ["orders"], 6)
        (item,) = incidents(bench)
        assert (item["state"], bench.status(KEY)["openIncidents"]) == ("Resolved", 0)
        assert item["startedAt"] < item["detectedAt"] < item["resolvedAt"]
        assert bench.told.states() == [("BrokerUnavailable", "opened"), ("BrokerUnavailable", "resolved")]
        (opened,), (resolved,) = events(bench, "IncidentOpened"), events(bench, "IncidentResolved")
        assert opened["message"] == (
            "BrokerUnavailable (Critical): Kafka at kafka:9092: no answer (the operator sees this; 1 of 1 pods say "
            "that it is well); https://books.example/incidents/BrokerUnavailable.md"
        )
        assert (opened["type"], opened["count"], resolved["type"]) == ("Warning", 1, "Normal")


async def test_an_open_incident_that_stays_writes_nothing_more() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders"])
        bench.world.target_fault = BROKER
        await looks(bench, ["orders"], 3)
        bench.kube.calls.clear()
        await looks(bench, ["orders"], 20)
        assert bench.kube.writes() == []


async def test_a_fault_of_a_second_makes_no_incident() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders"])
        bench.world.target_fault = BROKER
        await looks(bench, ["orders"], 1)
        bench.world.target_fault = None
        await looks(bench, ["orders"], 5)
        assert incidents(bench) == []
        assert bench.told.notices == []


async def test_sixty_relays_on_one_dead_broker_are_one_parent_one_notice_and_few_writes() -> None:
    async with Bench().running() as bench:
        relays = names(60)
        await started(bench, relays)
        bench.kube.calls.clear()
        bench.world.target_fault = BROKER
        await looks(bench, relays, 6)
        (notice,) = bench.told.notices
        parents = {item["parent"] for name in relays for item in incidents(bench, name)}
        assert parents == {notice.id}
        assert [open_types(bench, name) for name in relays] == [["BrokerUnavailable"]] * 60
        assert len(bench.told.renewed[-1].relays) == 60
        # Each relay: the condition and the incident in status, and the Event that it is not ready; one Event more.
        assert len(bench.kube.writes()) <= 4 * 60 + 1
        assert len(events(bench, "IncidentOpened")) == 1
        bench.kube.calls.clear()
        bench.world.target_fault = None
        await looks(bench, relays, 6)
        assert bench.told.states() == [("BrokerUnavailable", "opened"), ("BrokerUnavailable", "resolved")]
        assert bench.told.notices[1].id == notice.id
        assert len(bench.told.notices[1].relays) == 60
        assert len(bench.kube.writes()) <= 4 * 60 + 1
        assert len(events(bench, "IncidentResolved")) == 1


async def test_each_database_that_is_lost_is_an_incident_of_its_own() -> None:
    async with Bench().running() as bench:
        await started(bench, ["a", "b"])
        bench.world.source_fault = SourceFault(Reason.CONNECT_FAILED, "no answer")
        await looks(bench, ["a", "b"], 4)
        assert [notice.incident.scope for notice in bench.told.notices] == ["a.example:5432", "b.example:5432"]


async def test_a_new_leader_goes_on_with_open_incidents_and_tells_nobody_anew() -> None:
    kube = FakeKube()
    async with Bench(kube).running() as bench:
        await started(bench, ["a", "b"])
        bench.world.target_fault = BROKER
        await looks(bench, ["a", "b"], 4)
        (opened,) = bench.told.notices
        written = {name: incidents(bench, name) for name in "ab"}
    async with Bench(kube).running() as successor:
        successor.world.target_fault = BROKER
        for name in "ab":
            successor.relays.deliver(None, kube.objects[RELAY.kind, "shop", name])
        await with_pods(successor, ["a", "b"])
        await looks(successor, ["a", "b"], 6)
        assert {name: incidents(successor, name) for name in "ab"} == written
        assert successor.told.notices == []
        assert {notice.id for notice in successor.told.adopted} == {opened.id}
        successor.world.target_fault = None
        await looks(successor, ["a", "b"], 6)
        (resolved,) = successor.told.notices
        assert (resolved.id, resolved.state) == (opened.id, "resolved")


async def test_a_status_that_cannot_be_written_does_not_keep_people_from_being_told() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders"])
        bench.world.target_fault = BROKER
        bench.kube.refuse = lambda verb, kind: ClusterFault(500, "x", "etcd") if kind == RELAY.kind else None
        for _ in range(4):
            try:
                await looks(bench, ["orders"], 1)
            except ClusterFault:
                continue
        assert bench.told.states() == [("BrokerUnavailable", "opened")]
        bench.kube.refuse = lambda _verb, _kind: None
        await looks(bench, ["orders"], 1)
        assert open_types(bench) == ["BrokerUnavailable"]
        assert len(events(bench, "IncidentOpened")) == 1
        assert bench.told.states() == [("BrokerUnavailable", "opened")]


async def test_the_incidents_of_a_relay_that_is_deleted_end_with_it() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders", "others"])
        held = report(member="orders-relay-1", delivered=1, held=(held_row(),))
        bench.world.reports["10.0.0.1"] = held
        await looks(bench, ["orders"], 3)
        assert open_types(bench) == ["PoisonRows"]
        bench.relays.deliver("DELETED", bench.kube.objects[RELAY.kind, "shop", "orders"])
        await bench.look(KEY)
        assert bench.told.states() == [("PoisonRows", "opened"), ("PoisonRows", "resolved")]
        assert list(bench.incidents.open()) == []


async def test_a_pod_that_falls_silent_is_an_incident_within_twenty_seconds() -> None:
    async with Bench().running() as bench:
        await started(bench, ["orders"])
        del bench.world.reports["10.0.0.1"]
        for _ in range(4):
            bench.clock.move(5)
            await bench.look(KEY)
        assert open_types(bench) == ["RelayUnresponsive"]


async def test_metrics_show_what_is_open_and_nothing_of_what_is_gone() -> None:
    registry = CollectorRegistry()
    metrics = IncidentMetrics(registry)
    async with Bench().running() as bench:
        metrics.follow(bench.incidents.open, lambda: {"webhook": 2})
        await started(bench, ["orders"])
        bench.world.target_fault = BROKER
        await looks(bench, ["orders"], 3)
        text = generate_latest(registry).decode()
        assert 'outboxrelay_incidents_open{severity="Critical",type="BrokerUnavailable"} 1.0' in text
        labels = 'namespace="shop",relay="orders",severity="Critical",type="BrokerUnavailable"'
        assert f"outboxrelay_relay_incidents_open{{{labels}}} 1.0" in text
        assert 'outboxrelay_notifications_pending{receiver="webhook"} 2.0' in text
        bench.world.target_fault = None
        await looks(bench, ["orders"], 4)
        text = generate_latest(registry).decode()
        assert 'outboxrelay_incidents_open{severity="Critical",type="BrokerUnavailable"} 0.0' in text
        assert 'relay="orders"' not in text


async def test_a_failover_of_the_operator_is_told_and_resolved_and_shows_in_metrics_while_it_lasts() -> None:
    bench, registry = Bench(), CollectorRegistry()
    IncidentMetrics(registry).follow(bench.incidents.open, dict)
    notice = bench.incidents.took_over("operator-1", bench.clock.now())
    assert open_failovers(registry) == 1
    bench.clock.move(30)
    bench.incidents.resolved(notice)
    assert bench.told.states() == [("OperatorFailover", "opened"), ("OperatorFailover", "resolved")]
    assert bench.told.notices[0].id == bench.told.notices[1].id
    assert "operator-1" in notice.incident.message
    assert bench.told.counted == [("OperatorFailover", "Warning")]
    assert open_failovers(registry) == 0


def open_failovers(registry: CollectorRegistry) -> float | None:
    """As Prometheus sees it; of no relay."""
    assert "outboxrelay_relay_incidents_open{" not in generate_latest(registry).decode()
    labels = {"type": "OperatorFailover", "severity": "Warning"}
    return registry.get_sample_value("outboxrelay_incidents_open", labels)
