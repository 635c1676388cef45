"""What both processes export is what docs/metrics.md says, named as Prometheus asks, and gone with what it is about."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outboxrelay.api.incidents import Severity
from outboxrelay.api.report import Quarantine, RelayReport
from outboxrelay.api.status import ScalingStep
from outboxrelay.controller.metrics import Metrics
from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.observe import policy_of, reading_of
from outboxrelay.decisions.autoscaling.values import Decision, ScalingFacts, State
from outboxrelay.decisions.facts import TableCount
from outboxrelay.decisions.incidents.reduce import Incident
from outboxrelay.decisions.scaling import scaling_active
from outboxrelay.manifests.kinds import SECRET
from outboxrelay.relay.metrics import Metrics as PodMetrics
from tests.support.controller_bench import Bench
from tests.support.relay_bodies import held_row, manifest, pod_body, relay_body, report, secret
from tests.support.waiting import until

pytestmark = pytest.mark.looptime

PAGE = Path("docs/metrics.md")
KEY = ("shop", "orders")
UNITS = {"seconds": "seconds", "bytes": "bytes", "rows": "rows", "rows per second": "rows_per_second", "keys": "keys"}
"""Units that are part of the name."""
BOUNDED = {"type", "severity", "receiver", "result", "side", "reason", "kind", "outcome", "version"}
"""Labels whose values are a fixed set."""


class Documented(NamedTuple):
    """One metric."""

    type: str
    labels: frozenset[str]


def rows() -> list[list[str]]:
    """Name, type, labels, unit, process and meaning of each metric."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def table(process: str) -> dict[str, Documented]:
    """What the page says of a process."""
    return {
        name.strip("`"): Documented(kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _, where, _ in rows()
        if where in (process, "both")
    }


def exported(text: bytes) -> dict[str, Documented]:
    """What an exposition holds; raises AssertionError where a family has no series, so that its labels are unknown."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        if family.name.endswith("_created"):
            continue
        assert family.samples, f"{family.name}: nothing of it was counted here, so that its labels are unknown"
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = Documented(family.type, frozenset(labels))
    return found


async def leader() -> tuple[Bench, Metrics]:
    """A leader that has seen one of everything, and its relay."""
    bench = Bench()
    metrics = bench.metrics
    bench.kube.put(SECRET, secret(uri="db.example"))
    bench.world.counted = TableCount(rows=7, exact=True, oldest_age=3.5)
    bench.world.reports["10.0.0.1"] = quarantining(report(held=(held_row(),)))
    bench.cache.pod_bodies = [pod_body()]
    async with bench.running():
        work = metrics.counted(bench.reconciler.reconcile)
        bench.create(relay_body())
        await work(KEY)
        await until(lambda: answered(bench), "first answers", 5, every=0.5)
        for _ in range(2):
            await bench.pass_time(5, KEY)
            await work(KEY)
    item = incident()
    metrics.incidents.follow(lambda: [(KEY, item)], lambda: {"webhook": 1})
    metrics.incidents.opened(item.type, item.severity, 5.0)
    metrics.incidents.noticed("webhook", "sent", 1)
    metrics.scaling.stepped(KEY, ScalingStep(at="2026-01-01T00:00:00Z", from_=1, to=2, reason="ScaledUp", message=""))
    facts = ScalingFacts(mode="Auto", decision=decision())
    metrics.scaling.decided(KEY, 2, facts, scaling_active(facts))
    metrics.leading.set(1)
    return bench, metrics


async def answered(bench: Bench) -> bool:
    results = bench.prober.results(KEY)
    return bool(results.count and results.target and results.reports)


def decision() -> Decision:
    """One in which everything is known."""
    reading = reading_of(now=0, source=None, target=None, count=None, pods=(), reports=(), unmoved_since=None)
    found, _ = decide(policy_of(manifest().spec, 5), reading, State(1))
    return replace(found, estimate=replace(found.estimate, need=100.0, capacity=50.0))


def quarantining(found: RelayReport) -> RelayReport:
    return found.model_copy(update={"quarantine": Quarantine(rows=2)})


def incident() -> Incident:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Incident(
        id="1",
        type="PoisonRows",
        scope="",
        severity=str(Severity.WARNING),
        started_at=now,
        detected_at=now,
        reason="PoisonRows",
        message="",
    )


def pod() -> PodMetrics:
    """Metrics of a pod that has seen one of everything."""
    metrics = PodMetrics()
    metrics.circuit_opened("BrokerUnavailable")
    metrics.source_failed("Timeout")
    metrics.reloaded("source", "Switched")
    return metrics


async def test_the_operator_exports_what_the_page_says_and_nothing_else() -> None:
    _, metrics = await leader()
    assert exported(metrics.text()) == table("operator")


def test_a_relay_pod_exports_what_the_page_says_and_nothing_else() -> None:
    assert exported(pod().exposition()) == table("relay")


def test_names_are_as_prometheus_asks() -> None:
    wrong = []
    for cell, kind, labels, unit, where, meaning in rows():
        name = cell.strip("`")
        assert meaning
        assert where in ("operator", "relay", "both")
        own = not name.startswith("process_")
        suffix = UNITS.get(unit, "")
        base = name.removesuffix("_total")
        if (kind == "counter") != name.endswith("_total"):
            wrong.append(f"{name}: a counter ends with _total, and nothing else does")
        if suffix and not base.endswith(suffix):
            wrong.append(f"{name}: its unit is {unit}")
        if own and not name.startswith("outboxrelay_"):
            wrong.append(f"{name}: whose is it?")
        if unknown := set(re.findall(r"`(\w+)`", labels)) - BOUNDED - {"namespace", "relay"}:
            wrong.append(f"{name}: {unknown} may have any number of values")
    assert wrong == []


async def test_a_relay_that_is_deleted_leaves_no_series() -> None:
    bench, metrics = await leader()
    assert 'relay="orders"' in metrics.text().decode()
    assert exported(metrics.text())["outboxrelay_relay_lag_seconds"]
    bench.relays.remove(KEY)
    await bench.look(KEY)
    metrics.incidents.follow(bench.incidents.open, dict)
    assert 'relay="orders"' not in metrics.text().decode()


async def test_a_process_that_leads_no_more_says_nothing_of_any_relay() -> None:
    _, metrics = await leader()
    metrics.relays.set_function(lambda: 1)
    metrics.stepped_down()
    text = metrics.text().decode()
    assert 'relay="' not in text
    assert "outboxrelay_controller_leading 0.0" in text
    assert "outboxrelay_controller_relays 0.0" in text
    assert 'outboxrelay_incidents_open{severity="Warning",type="PoisonRows"} 0.0' in text


async def test_what_cannot_be_counted_now_has_no_series_rather_than_an_old_one() -> None:
    bench, metrics = await leader()
    assert 'outboxrelay_relay_backlog_rows{namespace="shop",relay="orders"} 7.0' in metrics.text().decode()
    bench.clock.move(600)
    text = metrics.text().decode()
    assert "outboxrelay_relay_backlog_rows{" not in text
    assert "outboxrelay_relay_lag_seconds{" not in text
    assert "outboxrelay_relay_ready{" in text


async def test_five_hundred_relays_cost_a_fixed_number_of_series_each() -> None:
    bench, metrics = await leader()
    one = metrics.text().decode().count('relay="')
    numbers = [(("shop", f"relay-{number}"), item) for number in range(500) for _, item in bench.reconciler.numbers()]
    metrics.each.follow(lambda: numbers)
    assert metrics.text().decode().count('relay="') <= 500 * one
