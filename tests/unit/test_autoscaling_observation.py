"""From spec, probes, pods and their reports to what a decision is made from."""

import re
from datetime import timedelta
from typing import Any

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.api.report import BlockedTopic, FlowState, Health, Held, RelayReport
from outboxrelay.decisions.autoscaling.observe import policy_of, reading_of
from outboxrelay.decisions.autoscaling.values import Reading
from outboxrelay.decisions.facts import Count, PodFacts, PodReport, Probe
from tests.support.relay_bodies import MOMENT, held_row, manifest, report

NOW = 1000.0


def told(member: str = "orders-relay-1", age: float = 60.0, delivery: Any = None, **changes: Any) -> PodReport:
    found = report(member=member)
    delivery = found.delivery.model_copy(update={"rows_per_second": 12.0, "full_share": 0.0} | (delivery or {}))
    started = MOMENT - timedelta(seconds=age)
    return PodReport(NOW, found.model_copy(update={"started_at": started, "delivery": delivery} | changes))


def read(*reports: PodReport, **changes: Any) -> Reading:
    fields: dict[str, Any] = {
        "source": Probe(NOW),
        "target": Probe(NOW),
        "count": Count(NOW - 1, 10, True, 0.5),
        "pods": [PodFacts(item.report.member, "10.0.0.1", ready=True) for item in reports],
        "unmoved_since": NOW - 1,
    }
    return reading_of(now=NOW, reports=reports, **(fields | changes))


def test_rates_of_pods_are_added_and_shares_are_means() -> None:
    seen = read(
        told(delivery={"busy_share": 1.0, "full_share": 1.0, "read_p95_milliseconds": 20.0}),
        told("orders-relay-2", delivery={"busy_share": 0.5, "full_share": 0.0, "read_p95_milliseconds": 900.0}),
    )
    assert (seen.delivered, seen.busy, seen.full, seen.read_seconds) == (24.0, 0.75, 0.5, 0.9)
    assert (seen.ready, seen.told, seen.silent) == (2, 2, 0)


def test_a_pod_of_an_older_version_counts_as_full_while_it_is_busy() -> None:
    assert read(told(delivery={"full_share": None, "busy_share": 0.9})).full == 0.9


def test_a_ready_pod_that_does_not_tell_is_silent_and_one_that_starts_does_not_count() -> None:
    pods = [PodFacts("orders-relay-1", "a", ready=True), PodFacts("orders-relay-2", "b", ready=True)]
    assert read(told(), pods=pods).silent == 1
    assert read(told(), told("orders-relay-2", state="Starting"), pods=pods).told == 1


def test_young_pods_are_not_learned_from() -> None:
    assert read(told(age=15)).seasoned
    assert not read(told(age=60), told("orders-relay-2", age=14)).seasoned
    assert not read().seasoned


@pytest.mark.parametrize(
    ("changes", "probe"),
    [
        ({}, Probe(NOW, Reason.BROKER_UNAVAILABLE, "x")),
        ({"target": Health(healthy=False, reason="NotEnoughInSyncReplicas")}, Probe(NOW)),
        ({"delivery": {"circuit": "Open"}}, Probe(NOW)),
    ],
)
def test_brokers_count_as_down_by_the_probe_or_by_any_pod(changes: dict[str, Any], probe: Probe) -> None:
    assert read(told(), told("orders-relay-2", **changes), target=probe).target_fault
    assert not read(told()).target_fault


def test_a_database_that_refuses_connections_or_is_too_slow_has_too_much_to_do() -> None:
    for reason in ("TooManyConnections", "Timeout"):
        assert reason in read(told(source=Health(healthy=False, reason=reason))).source_fault
        assert reason in read(told(), source=Probe(NOW, Reason(reason), "x")).source_fault
    assert not read(told(source=Health(healthy=False, reason="ConnectFailed"))).source_fault


def blocked(topic: str) -> BlockedTopic:
    return BlockedTopic(topic=topic, reason="TopicNotFound", message="x", since=MOMENT, retry_at=MOMENT)


def test_rows_that_wait_for_a_topic_or_a_person_and_cannot_be_left_out_of_the_count_are_told() -> None:
    assert read(told(blocked_topics=[blocked("b"), blocked("a")])).errors == "rows wait for topic a and 1 more"
    assert read(told(held=Held(keys=1, rows=[held_row()]))).errors == ""
    assert "more keys are held" in read(told(held=Held(keys=30, rows=[held_row()]))).errors


@pytest.mark.parametrize(
    ("state", "slowed"), [("Ramping", True), ("Halved", True), ("Limited", False), ("Free", False)]
)
def test_pods_that_hold_themselves_back_are_told_but_not_those_with_a_limit(state: str, slowed: bool) -> None:
    flow = FlowState(state=state, rows_per_second=1.0)  # type: ignore[arg-type]
    assert bool(read(told(delivery={"flow": flow})).slowed) is slowed


def test_rows_that_do_not_move_are_told_after_25_seconds() -> None:
    assert read(told(), unmoved_since=NOW - 25).unmoved
    assert not read(told(), unmoved_since=NOW - 24).unmoved
    assert not read(told(), unmoved_since=NOW - 99, count=Count(NOW, 0, True, None)).unmoved


@pytest.mark.parametrize(
    ("changes", "maximum", "named"),
    [
        ({}, 8, "scaling.maxReplicas 8"),
        ({"scaling": {"maxReplicas": 12}}, 8, "source.database.maxConnections 32"),
        ({"source": {"database": {"maxConnections": 11}}}, 2, "source.database.maxConnections 11"),
        ({"ordering": {"shards": 4}}, 4, "ordering.shards 4"),
        ({"ordering": {"shards": 4, "mode": "None"}}, 8, "scaling.maxReplicas 8"),
        ({"ordering": {"shards": 1, "mode": "Strict"}}, 1, "ordering.shards 1"),
        ({"flow": {"maxRowsPerSecond": 500}}, 1, "flow.maxRowsPerSecond 500, a limit of each pod,"),
        (
            {"flow": {"maxBytesPerSecond": 10**6}, "scaling": {"minReplicas": 3}},
            3,
            "flow.maxBytesPerSecond 1000000, a limit of each pod,",
        ),
    ],
)
def test_pods_are_bounded_by_the_spec_by_shards_and_by_connections(
    changes: dict[str, Any], maximum: int, named: str
) -> None:
    found = policy_of(manifest(**changes).spec, 5.0)
    assert (found.maximum, found.maximum_from) == (maximum, named)


@pytest.mark.parametrize("field", ["rowsPerSecond", "busyShare", "fullShare", "readP95Milliseconds"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1"])
def test_a_report_with_impossible_numbers_is_no_report(field: str, value: str) -> None:
    text = re.sub(rf'"{field}":[^,}}]+', f'"{field}":{value}', report().model_dump_json(by_alias=True), count=1)
    with pytest.raises(ValueError, match=field):
        RelayReport.model_validate_json(text)
