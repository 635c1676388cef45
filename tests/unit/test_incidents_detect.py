"""Which faults are seen in what was observed, from two vantage points, and of which nothing can be said."""

from typing import Any

import pytest

from outboxrelay.api.incidents import IncidentType
from outboxrelay.api.names import Condition, Reason
from outboxrelay.api.report import BlockedTopic, Health, Quarantine, TransactionHolder
from outboxrelay.api.status import ConditionStatus
from outboxrelay.controller.observe import pod_facts
from outboxrelay.decisions.conditions import conditions
from outboxrelay.decisions.facts import Count, DeploymentFacts, PodFacts, PodReport, Probe, Verdict
from outboxrelay.decisions.incidents.detect import Observation, observe
from outboxrelay.decisions.incidents.silence import heard, silent
from outboxrelay.decisions.transitions import with_history
from tests.support.relay_bodies import MOMENT, held_row, pod_body, report
from tests.unit.test_controller_conditions import NOW, POD, facts

PLACES = {"source_scope": "db:5432", "target_scope": "kafka:9092"}


def seen(*more: ConditionStatus, **changes: Any) -> Observation:
    found = facts(**(PLACES | changes))
    told = with_history(conditions(found), (), generation=1, now="2026-01-01T00:00:00Z")
    return observe(found, [*told, *more])


def types(**changes: Any) -> set[str]:
    return {str(item.type) for item in seen(**changes).signals}


def says(**changes: Any) -> dict[str, tuple[PodReport, ...]]:
    return {"reports": (PodReport(NOW - 1, report(delivered=5).model_copy(update=changes)),)}


def test_a_fault_is_as_old_as_the_newest_answer_that_told_of_it() -> None:
    (probed,) = seen(source=Probe(NOW - 3, Reason.CONNECT_FAILED, "why")).signals
    assert probed.seen_at == NOW - 3
    down = Health(healthy=False, reason=Reason.CONNECT_FAILED, message="why")
    (both,) = seen(source=Probe(NOW - 3, Reason.CONNECT_FAILED, "why"), **says(source=down)).signals
    assert both.seen_at == NOW - 1
    (counted,) = seen(progress_at=NOW - 60).signals
    assert counted.seen_at is None


def test_a_relay_that_delivers_has_no_fault_and_every_type_is_judged() -> None:
    assert seen() == Observation(NOW)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.CONNECT_FAILED, IncidentType.DATABASE_UNAVAILABLE),
        (Reason.TIMEOUT, IncidentType.DATABASE_UNAVAILABLE),
        (Reason.TLS_FAILED, IncidentType.DATABASE_TLS_FAILED),
        (Reason.TOO_MANY_CONNECTIONS, IncidentType.DATABASE_CONNECTIONS_EXHAUSTED),
        (Reason.AUTHENTICATION_FAILED, IncidentType.DATABASE_ACCESS_DENIED),
        (Reason.PERMISSION_DENIED, IncidentType.DATABASE_ACCESS_DENIED),
        (Reason.READ_ONLY, IncidentType.DATABASE_READ_ONLY),
        (Reason.DATABASE_ERROR, IncidentType.DATABASE_ERRORS),
        (Reason.TABLE_NOT_FOUND, IncidentType.TABLE_UNUSABLE),
        (Reason.SCHEMA_MISMATCH, IncidentType.TABLE_UNUSABLE),
        (Reason.UNSUPPORTED_SERVER, IncidentType.TABLE_UNUSABLE),
    ],
)
def test_a_fault_of_the_database_is_seen_by_the_operator_or_by_a_pod(reason: Reason, kind: IncidentType) -> None:
    assert types(source=Probe(NOW, reason, "why")) == {kind}
    assert types(**says(source=Health(healthy=False, reason=reason, message="why"))) == {kind}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.BROKER_UNAVAILABLE, IncidentType.BROKER_UNAVAILABLE),
        (Reason.PRODUCER_FATAL, IncidentType.BROKER_UNAVAILABLE),
        (Reason.NO_PROGRESS, IncidentType.BROKER_UNAVAILABLE),
        (Reason.TLS_FAILED, IncidentType.BROKER_TLS_FAILED),
        (Reason.AUTHENTICATION_FAILED, IncidentType.BROKER_ACCESS_DENIED),
        (Reason.TOPIC_NOT_FOUND, IncidentType.TOPIC_UNAVAILABLE),
        (Reason.AUTHORIZATION_FAILED, IncidentType.TOPIC_UNAVAILABLE),
        (Reason.NOT_ENOUGH_IN_SYNC_REPLICAS, IncidentType.NOT_ENOUGH_REPLICAS),
    ],
)
def test_a_fault_of_the_brokers_is_seen_by_the_operator_or_by_a_pod(reason: Reason, kind: IncidentType) -> None:
    assert types(target=Probe(NOW, reason, "why")) == {kind}
    assert types(**says(target=Health(healthy=False, reason=reason, message="why"))) == {kind}


def test_what_many_relays_share_is_named_by_its_hosts_and_the_rest_by_the_relay_alone() -> None:
    scopes = {
        item.type: item.scope
        for item in seen(
            source=Probe(NOW, Reason.READ_ONLY, "why"), target=Probe(NOW, Reason.TOPIC_NOT_FOUND, "why")
        ).signals
    }
    assert scopes == {IncidentType.DATABASE_READ_ONLY: "db:5432", IncidentType.TOPIC_UNAVAILABLE: ""}


def test_both_vantage_points_are_told_apart_in_the_message() -> None:
    (only_here,) = seen(source=Probe(NOW, Reason.TIMEOUT, "no answer")).signals
    assert only_here.message == "no answer (the operator sees this; 1 of 1 pods say that it is well)"
    (only_there,) = seen(**says(source=Health(healthy=False, reason="Timeout", message="no answer"))).signals
    assert only_there.message == "pod orders-relay-1: no answer"


def test_a_fault_hides_those_behind_it_and_not_those_before_it() -> None:
    unknown = seen(target=Probe(NOW, Reason.AUTHENTICATION_FAILED, "why")).unknown
    assert {"TopicUnavailable", "NotEnoughReplicas"} <= unknown
    assert not {"BrokerUnavailable", "BrokerTLSFailed", "DatabaseUnavailable"} & unknown


@pytest.mark.parametrize("probe", [None, Probe(NOW - 60, Reason.CONNECTED), Probe(NOW, Reason.PROBE_STALE, "a bug")])
def test_without_a_fresh_answer_nothing_is_said_about_the_database(probe: Probe | None) -> None:
    found = seen(source=probe)
    assert found.signals == ()
    assert {"DatabaseUnavailable", "DatabaseReadOnly", "TableUnusable"} <= found.unknown


def test_a_blocked_topic_is_an_incident_while_others_flow() -> None:
    topic = BlockedTopic(
        topic="t1", reason="TopicNotFound", message="topic t1 does not exist", since=MOMENT, retry_at=MOMENT
    )
    (signal,) = seen(**says(blocked_topics=[topic])).signals
    assert (signal.type, signal.message) == (
        IncidentType.TOPIC_UNAVAILABLE,
        "topic t1 does not exist; rows for other topics go on",
    )


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.SECRET_NOT_FOUND, "SecretMissing"),
        (Reason.SECRET_KEY_MISSING, "SecretMissing"),
        (Reason.INVALID_SPEC, "SpecRefused"),
        (Reason.CONFLICTING_RELAY, "SpecRefused"),
    ],
)
def test_what_was_declared_wrongly_is_an_incident(reason: Reason, kind: str) -> None:
    assert types(verdict=Verdict(reason, "why")) == {kind}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.CRASH_LOOPING, "RelayCrashLooping"),
        (Reason.IMAGE_PULL_FAILED, "RelayImagePullFailed"),
        (Reason.UNSCHEDULABLE, "RelayUnschedulable"),
    ],
)
def test_an_obstacle_of_a_pod_is_an_incident(reason: Reason, kind: str) -> None:
    pods = (PodFacts("p", None, ready=False, problem=reason, message="why"),)
    found = seen(pods=pods, reports=())
    assert [str(item.type) for item in found.signals] == [kind]
    assert found.explained


def test_pods_that_a_quota_refuses_are_an_incident() -> None:
    refused = DeploymentFacts(1, 0, 0, 0, settled=True, refused="exceeded quota: small")
    (signal,) = seen(deployment=refused, pods=(), reports=()).signals
    assert (signal.type, signal.reason) == (IncidentType.RELAY_UNSCHEDULABLE, "QuotaExceeded")


def test_a_pod_that_is_ill_explains_nothing_while_another_works() -> None:
    ill = PodFacts("p", None, ready=False, problem=Reason.UNSCHEDULABLE, message="why")
    assert not seen(pods=(ill, POD)).explained
    assert seen(pods=(ill,)).explained


def test_a_rollout_past_its_deadline_is_an_incident() -> None:
    assert types(deployment=DeploymentFacts(2, 2, 1, 1, settled=True, overdue=True)) == {"RolloutStalled"}


def test_a_pod_that_does_not_answer_is_dead_or_hung() -> None:
    (signal,) = seen(silent=("orders-relay-1",), reports=(), count=Count(NOW, 0, True, None)).signals
    assert signal.type is IncidentType.RELAY_UNRESPONSIVE
    assert "Kubernetes still says that it is ready" in signal.message
    fallen = PodFacts("orders-relay-1", "10.0.0.1", ready=False, fell=True)
    (signal,) = seen(silent=("orders-relay-1",), pods=(fallen,), reports=()).signals
    assert "Kubernetes says that it is not ready either" in signal.message


def test_pods_out_of_reach_that_deliver_are_told_apart_from_dead_ones() -> None:
    silent: dict[str, Any] = {"silent": ("orders-relay-1",), "silent_since": NOW - 12, "reports": ()}
    assert types(**silent, moved_at=NOW) == {"RelayUnreachable"}
    assert types(**silent, moved_at=NOW - 12) == {"RelayUnresponsive"}
    assert types(**silent | {"silent_since": NOW - 60}, moved_at=NOW - 19) == {"RelayUnresponsive"}
    fallen = (PodFacts("orders-relay-1", "10.0.0.1", ready=False, fell=True),)
    assert types(**silent, moved_at=NOW, pods=fallen) == {"RelayUnresponsive"}


def test_brokers_that_come_back_say_nothing_of_a_pod_that_does_not() -> None:
    silent: dict[str, Any] = {"silent": ("orders-relay-1",), "silent_since": NOW - 12, "reports": ()}
    assert types(**silent, progress_at=NOW, count=Count(NOW, 10, True, 1.0)) == {"RelayUnresponsive"}


def test_a_pod_that_ceased_to_be_ready_and_answers_is_an_incident() -> None:
    assert types(pods=(PodFacts("orders-relay-1", "10.0.0.1", ready=False, fell=True),)) == {"RelayNotReady"}


def test_a_pod_that_only_starts_has_not_fallen() -> None:
    def fell(since: str, started: str) -> bool:
        body = pod_body(ready=False)
        body["status"]["conditions"][0]["lastTransitionTime"] = since
        body["status"]["containerStatuses"] = [{"state": {"running": {"startedAt": started}}}]
        found = pod_facts(body)
        return found is not None and found.fell

    assert not fell("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z")
    assert fell("2026-01-01T00:05:00Z", "2026-01-01T00:00:02Z")
    assert not fell("2026-01-01T00:05:00Z", "2026-01-01T00:05:01Z")
    starting = pod_facts(pod_body(ready=False))
    assert starting is not None
    assert not starting.fell


def test_silence_counts_from_the_last_answer_or_else_from_the_first_question() -> None:
    answers = [PodReport(100.0, report(member="a"))]
    pods = [PodFacts("a", "10.0.0.1", ready=True), PodFacts("b", "10.0.0.2", ready=True)]
    starting = PodFacts("c", "10.0.0.3", ready=False)
    first = heard({}, [*pods, starting], answers, 101.0)
    assert first == {"a": 100.0, "b": 101.0}
    later = heard(first, pods, (), 109.0)
    assert later == first
    assert silent(later, 109.0, 5) == ()
    assert silent(later, 110.5, 5) == ("a",)
    assert silent(later, 111.5, 5) == ("a", "b")
    assert silent(later, 111.5, 10) == ()


def test_seconds_in_which_the_operator_was_late_itself_are_no_silence_of_pods() -> None:
    pods = [PodFacts("a", "10.0.0.1", ready=True)]
    first = heard({}, pods, [PodReport(100.0, report(member="a"))], 101.0)
    late = heard(first, pods, (), 115.0, 12.0)
    assert late == {"a": 112.0}
    assert silent(late, 115.0, 5) == ()
    assert silent(heard(late, pods, (), 122.5), 122.5, 5) == ("a",)
    assert heard(first, pods, (), 104.0, 60.0) == {"a": 104.0}


def test_rows_that_do_not_move_are_an_incident() -> None:
    assert types(progress_at=NOW - 25) == {"NoProgress"}


def test_rows_that_wait_for_the_first_pod_are_no_incident_unless_it_takes_too_long() -> None:
    starting: dict[str, Any] = {"pods": (PodFacts("p", None, ready=False),), "reports": ()}
    soon = seen(progress_at=NOW - 60, **starting)
    assert soon.signals == ()
    assert {"NoProgress", "LagObjectiveMissed"} <= soon.unknown
    assert types(progress_at=NOW - 120, **starting) == {"NoProgress"}


def test_while_a_pod_recovers_nothing_is_said_about_progress() -> None:
    waiting = report(delivered=5, circuit="Open")
    assert "NoProgress" in seen(reports=(PodReport(NOW, waiting),)).unknown


@pytest.mark.parametrize(("status", "found"), [("False", True), ("True", False), ("Unknown", False)])
def test_the_lag_is_an_incident_where_its_condition_says_so(status: str, found: bool) -> None:
    lag = ConditionStatus.model_validate(
        {
            "type": "LagWithinObjective",
            "status": status,
            "reason": "R",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    )
    result = seen(lag)
    assert ("LagObjectiveMissed" in {str(item.type) for item in result.signals}) is found
    assert ("LagObjectiveMissed" in result.unknown) is (status == "Unknown")


def test_rows_that_cannot_be_sent_are_an_incident_until_nobody_can_tell() -> None:
    (signal,) = seen(**says(held=report(held=(held_row(),)).held)).signals
    assert signal.message == (
        "1 key is held by a row that cannot be sent (RowTooLarge: 2000000 bytes, the topic takes 1048588)"
    )
    assert types(**says(quarantine=Quarantine(rows=3))) == {"PoisonRows"}
    assert types(**says(quarantine=Quarantine(rows=3, limit_reached=True))) == {"PoisonRows", "QuarantineFull"}
    assert "PoisonRows" in seen(reports=()).unknown


def test_a_transaction_that_is_open_for_long_is_an_incident_that_names_it() -> None:
    (signal,) = seen(**says(holder=TransactionHolder(description="pid 4711 for 95 s"))).signals
    assert (signal.type, "pid 4711" in signal.message) == (IncidentType.TRANSACTION_HELD_OPEN, True)


def test_a_relay_that_is_stopped_has_no_fault_of_its_pods() -> None:
    stopped = seen(state="Stopped", wanted=0, deployment=None, pods=(), reports=(), count=Count(NOW, 5, True, 9.0))
    assert stopped.signals == ()
    assert Condition.READY not in stopped.unknown
