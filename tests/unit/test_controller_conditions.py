"""Conditions: each fault shows its own reason and a message that names the cause, and nothing is guessed."""

from dataclasses import replace
from typing import Any

import pytest

from outboxrelay.api.names import REASONS, Condition, Reason
from outboxrelay.api.report import Health, Shards
from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.values import Decision, Reading, ScalingFacts, State
from outboxrelay.decisions.conditions import NO_PROGRESS_SECONDS, STALE_SECONDS, conditions
from outboxrelay.decisions.facts import Count, DeploymentFacts, Facts, Finding, PodFacts, PodReport, Probe, Verdict
from tests.support.plant import policy
from tests.support.relay_bodies import report

NOW = 1000.0
RUNNING = DeploymentFacts(desired=1, replicas=1, ready=1, updated=1, settled=True)
POD = PodFacts("orders-relay-1", "10.0.0.1", ready=True)


def decision(**changes: Any) -> Decision:
    """Nothing keeps the number of pods from following the backlog."""
    reading = Reading(now=NOW, rows=10, lag=0.5, counted_at=NOW - 1, ready=1, told=1, seasoned=True, delivered=5.0)
    return replace(decide(policy(), reading, State(1, capacity=100.0))[0], **changes)


def facts(**changes: Any) -> Facts:
    """A relay that delivers."""
    fields: dict[str, Any] = {
        "now": NOW,
        "state": "Running",
        "wanted": 1,
        "verdict": Verdict(),
        "source": Probe(NOW - 1),
        "target": Probe(NOW - 1),
        "count": Count(NOW - 1, 10, True, 0.5),
        "deployment": RUNNING,
        "pods": (POD,),
        "reports": (PodReport(NOW - 1, report(delivered=5)),),
        "progress_at": NOW - 1,
        "scaling": ScalingFacts("Auto", decision=decision()),
    }
    return Facts(**(fields | changes))


def found(**changes: Any) -> dict[str, Finding]:
    """The conditions by type; each with a reason that the documentation names for it."""
    given = facts(**changes)
    items = {item.type: item for item in conditions(given)}
    for item in items.values():
        named = set(Reason) if item.type == Condition.READY else set(REASONS[Condition(item.type)])
        assert item.reason in named | ({given.verdict.reason} if not given.verdict.accepted else set()), item
    return items


def state(finding: Finding) -> tuple[str, str]:
    return finding.status, finding.reason


def ready(**changes: Any) -> tuple[str, str]:
    return state(found(**changes)["Ready"])


def test_a_relay_that_delivers_is_ready() -> None:
    assert ready() == ("True", "Delivering")
    assert {item.status for name, item in found().items() if name != "Quarantined"} == {"True"}
    assert state(found()["ScalingActive"]) == ("True", "Active")
    assert state(found()["Quarantined"]) == ("False", "None")


def test_a_relay_with_an_empty_table_is_ready_and_idle() -> None:
    assert ready(count=Count(NOW, 0, True, None)) == ("True", "Idle")


@pytest.mark.parametrize(
    "reason",
    [Reason.INVALID_SPEC, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_MISSING, Reason.CONFLICTING_RELAY],
)
def test_a_relay_that_is_refused_says_why(reason: Reason) -> None:
    result = found(verdict=Verdict(reason, "why"), source=None, target=None)
    assert state(result["Accepted"]) == ("False", reason)
    assert (state(result["Ready"]), result["Ready"].message) == (("False", reason), "why")


@pytest.mark.parametrize("reason", [Reason.TABLE_NOT_FOUND, Reason.SCHEMA_MISMATCH, Reason.UNSUPPORTED_SERVER])
def test_a_table_that_does_not_fit_is_the_specs_fault_not_the_connections(reason: Reason) -> None:
    result = found(source=Probe(NOW, reason, "table public.outbox not found"), count=None)
    assert state(result["Accepted"]) == ("False", reason)
    assert state(result["SourceReachable"]) == ("True", "Connected")
    assert result["Ready"].message == "table public.outbox not found"


def test_what_only_a_pod_finds_of_the_server_or_the_table_is_told_too() -> None:
    pooled = Health(healthy=False, reason=Reason.UNSUPPORTED_SERVER, message="a transaction pooler")
    result = found(reports=(PodReport(NOW, report(source=pooled)),))
    assert state(result["Accepted"]) == ("False", "UnsupportedServer")
    assert state(result["Ready"]) == ("False", "UnsupportedServer")
    assert result["Ready"].message.endswith("a transaction pooler")
    assert state(result["SourceReachable"]) == ("True", "Connected")


@pytest.mark.parametrize(
    "reason",
    [
        Reason.CONNECT_FAILED,
        Reason.AUTHENTICATION_FAILED,
        Reason.TLS_FAILED,
        Reason.TIMEOUT,
        Reason.READ_ONLY,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.PERMISSION_DENIED,
    ],
)
def test_a_database_that_cannot_be_used_shows_its_reason(reason: Reason) -> None:
    result = found(source=Probe(NOW, reason, "db:5432: why"), reports=(), count=None)
    assert state(result["SourceReachable"]) == ("False", reason)
    assert (state(result["Ready"]), result["Ready"].message) == (("False", reason), "db:5432: why")


@pytest.mark.parametrize(
    "reason",
    [Reason.BROKER_UNAVAILABLE, Reason.AUTHENTICATION_FAILED, Reason.TOPIC_NOT_FOUND, Reason.AUTHORIZATION_FAILED],
)
def test_brokers_that_cannot_be_used_show_their_reason_rather_than_what_follows_from_it(reason: Reason) -> None:
    broken = PodReport(NOW, report(circuit="Open", target=Health(healthy=False, reason=reason)))
    stuck = NOW - NO_PROGRESS_SECONDS - 60
    assert ready(target=Probe(NOW, reason, "why"), reports=(broken,), progress_at=stuck) == ("False", reason)


def test_brokers_that_are_gone_are_not_said_to_take_what_running_pods_deliver() -> None:
    result = found(target=Probe(NOW, Reason.BROKER_UNAVAILABLE, "connection refused"))
    assert result["Ready"].message == "connection refused"


def test_a_failed_login_says_that_running_pods_still_deliver() -> None:
    result = found(source=Probe(NOW, Reason.AUTHENTICATION_FAILED, "role relay cannot log in"))
    assert result["Ready"].message == "role relay cannot log in (pods that already run still deliver)"


def test_what_only_a_pod_can_see_counts_too() -> None:
    health = Health(healthy=False, reason="NotEnoughInSyncReplicas", message="2 needed, 1 there")
    result = found(reports=(PodReport(NOW, report(target=health)),))
    assert state(result["TargetReachable"]) == ("False", "NotEnoughInSyncReplicas")
    assert "orders-relay-1: 2 needed, 1 there" in result["TargetReachable"].message


@pytest.mark.parametrize(("field", "condition"), [("source", "SourceReachable"), ("target", "TargetReachable")])
def test_an_old_answer_is_no_answer(field: str, condition: str) -> None:
    result = found(**{field: Probe(NOW - STALE_SECONDS - 1)})
    assert state(result[condition]) == ("Unknown", "ProbeStale")
    assert state(result["Ready"]) == ("Unknown", "ProbeStale")


def test_nothing_is_claimed_before_the_first_answer() -> None:
    result = found(source=None, target=None, count=None, deployment=None, pods=(), reports=(), scaling=None)
    assert {name: item.status for name, item in result.items() if name != "Accepted"} == dict.fromkeys(
        (
            "Ready",
            "SourceReachable",
            "TargetReachable",
            "Available",
            "Delivering",
            "LagWithinObjective",
            "ScalingActive",
            "Quarantined",
            "RolledOut",
        ),
        "Unknown",
    )


def test_waiting_rows_that_do_not_move_are_noticed() -> None:
    assert ready(progress_at=NOW - NO_PROGRESS_SECONDS + 1) == ("True", "Delivering")
    assert ready(progress_at=NOW - NO_PROGRESS_SECONDS) == ("False", "NoProgress")


def test_rows_are_not_said_to_stand_still_by_an_operator_that_has_not_heard_of_them_lately() -> None:
    stuck: dict[str, Any] = {"progress_at": NOW - NO_PROGRESS_SECONDS}
    old = found(reports=(PodReport(NOW - 7, report()),), **stuck)["Delivering"]
    assert state(old) == ("Unknown", "ProbeStale")
    assert state(found(reports=(PodReport(NOW - 6, report()),), **stuck)["Delivering"]) == ("False", "NoProgress")
    unheard = found(reports=(), **stuck)["Delivering"]
    assert state(unheard) == ("Unknown", "ProbeStale")
    silent = found(reports=(), silent=(POD.name,), **stuck)["Delivering"]
    assert state(silent) == ("False", "NoProgress")
    # However rarely pods are asked, a stall that was seen for long enough stays one.
    rarely = found(reports=(PodReport(NOW - 11, report()),), progress_at=NOW - 25)["Delivering"]
    assert state(rarely) == ("False", "NoProgress")


def test_a_stall_of_pods_that_own_no_shard_says_who_must_have_them() -> None:
    idle = report().model_copy(update={"shards": Shards(total=16, owned=[], members=2)})
    stuck: dict[str, Any] = {"progress_at": NOW - NO_PROGRESS_SECONDS}
    told = found(reports=(PodReport(NOW, idle),), **stuck)["Delivering"].message
    assert "no pod owns any of the 16 shards; another session in the database holds their locks" in told
    one_of_two = found(reports=(PodReport(NOW, idle),), pods=(POD, replace(POD, name="b")), **stuck)["Delivering"]
    assert "shards" not in one_of_two.message


def test_a_pod_that_backs_off_is_recovering() -> None:
    assert ready(reports=(PodReport(NOW, report(circuit="Open")),)) == ("False", "Recovering")


def test_pods_that_do_not_report_are_unknown_rather_than_dead() -> None:
    assert state(found(reports=())["Delivering"]) == ("Unknown", "Pending")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "Paused"}, "Paused"),
        ({"state": "Stopped", "wanted": 0}, "Stopped"),
        ({"wanted": 0}, "Stopped"),
    ],
)
def test_a_relay_that_was_asked_to_rest_is_not_ready_and_says_so(changes: dict[str, Any], reason: str) -> None:
    assert ready(**changes) == ("False", reason)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Reason.CRASH_LOOPING, "the relay keeps ending with exit code 1"),
        (Reason.IMAGE_PULL_FAILED, "image x cannot be pulled"),
        (Reason.UNSCHEDULABLE, "no node fits"),
    ],
)
def test_a_pod_that_cannot_run_shows_its_obstacle(problem: Reason, message: str) -> None:
    deployment = DeploymentFacts(desired=1, replicas=1, ready=0, updated=1, settled=True)
    pod = PodFacts("orders-relay-1", None, False, problem, message)
    result = found(deployment=deployment, pods=(pod,), reports=())
    assert state(result["Available"]) == ("False", problem)
    assert message in result["Ready"].message


def test_a_quota_that_keeps_pods_away_is_named() -> None:
    refused = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1'
    deployment = DeploymentFacts(desired=1, replicas=0, ready=0, updated=0, settled=True, refused=refused)
    assert ready(deployment=deployment, pods=()) == ("False", "QuotaExceeded")


def test_a_stuck_rollout_is_shown_although_the_old_pods_go_on() -> None:
    deployment = DeploymentFacts(desired=1, replicas=2, ready=1, updated=1, settled=True)
    new = PodFacts("orders-relay-2", None, False, Reason.IMAGE_PULL_FAILED, "image x cannot be pulled")
    result = found(deployment=deployment, pods=(POD, new))
    assert state(result["Available"]) == ("False", "ImagePullFailed")
    assert "1 of 1 pods are ready and go on" in result["Available"].message


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (Count(NOW, 0, True, None), ("True", "WithinObjective")),
        (Count(NOW, 5, True, 30.0), ("True", "WithinObjective")),
        (Count(NOW, 5, True, 30.1), ("False", "ObjectiveMissed")),
        (Count(NOW, 5, True, None), ("Unknown", "LagUnknown")),
        (Count(NOW - STALE_SECONDS - 1, 5, True, 99.0), ("Unknown", "ProbeStale")),
        (None, ("Unknown", "ProbeStale")),
    ],
)
def test_a_lag_beyond_the_objective_is_told_and_leaves_the_relay_ready(
    count: Count | None, expected: tuple[str, str]
) -> None:
    result = found(count=count)
    assert state(result["LagWithinObjective"]) == expected
    if expected[0] == "False":
        assert "maxLagSeconds 30" in result["LagWithinObjective"].message
        assert state(result["Ready"]) == ("True", "Delivering")


def scaling(mode: Any = "Auto", **changes: Any) -> ScalingFacts:
    return ScalingFacts(mode, **changes)


@pytest.mark.parametrize(
    ("facts_of_scaling", "expected"),
    [
        (scaling("Manual"), ("False", "Manual")),
        (scaling("External"), ("False", "External")),
        (scaling(state="Paused"), ("False", "Paused")),
        (scaling("Manual", state="Stopped"), ("False", "Stopped")),
        (scaling(), ("Unknown", "Pending")),
        (scaling(decision=decision()), ("True", "Active")),
        (scaling("Manual", dry_run=True, decision=decision(desired=3)), ("False", "DryRun")),
        (scaling(decision=decision(reason=Reason.METRICS_UNAVAILABLE)), ("Unknown", "MetricsUnavailable")),
        *(
            (scaling(decision=decision(reason=reason)), ("False", reason))
            for reason in (
                Reason.TARGET_DOWN,
                Reason.SOURCE_SATURATED,
                Reason.NO_PROGRESS,
                Reason.RECOVERY_RAMP,
                Reason.INEFFECTIVE,
                Reason.AT_MAXIMUM,
                Reason.BUDGET_EXHAUSTED,
            )
        ),
    ],
)
def test_scaling_says_who_decides_or_what_keeps_the_pods_from_following_the_backlog(
    facts_of_scaling: ScalingFacts, expected: tuple[str, str]
) -> None:
    result = found(scaling=facts_of_scaling)
    assert state(result["ScalingActive"]) == expected
    assert state(result["Ready"])[0] != "Unknown"


def test_a_dry_run_says_what_it_would_do() -> None:
    told = found(scaling=scaling("Manual", dry_run=True, decision=decision(desired=3)))["ScalingActive"].message
    assert "3 pods would be asked for" in told


def test_a_block_says_until_when() -> None:
    facts_of_scaling = scaling(decision=decision(reason=Reason.INEFFECTIVE), blocked_until="2026-01-01T00:10:00Z")
    assert "no more pods before 2026-01-01T00:10:00Z" in found(scaling=facts_of_scaling)["ScalingActive"].message


def test_a_relay_that_sleeps_is_ready_and_idle() -> None:
    asleep = scaling(decision=decision(desired=0, asleep=True))
    gone = DeploymentFacts(desired=0, replicas=0, ready=0, updated=0, settled=True)
    fields = {"scaling": asleep, "wanted": 0, "deployment": gone, "pods": (), "reports": ()}
    assert ready(**fields, count=Count(NOW, 0, True, None)) == ("True", "Idle")
    assert ready(**fields, count=None) == ("Unknown", "ProbeStale")
    assert ready(**fields, source=Probe(NOW, Reason.CONNECT_FAILED, "x"), count=None) == ("False", "ConnectFailed")


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (DeploymentFacts(3, 3, 1, 3, True), ("True", "RollingOut")),
        (DeploymentFacts(1, 1, 0, 1, True), ("False", "RollingOut")),
        (DeploymentFacts(3, 3, 1, 3, True, overdue=True), ("False", "RollingOut")),
        (DeploymentFacts(1, 2, 2, 1, True), ("True", "RollingOut")),
        (RUNNING, ("True", "MinimumReplicasReady")),
    ],
)
def test_a_rollout_counts_as_available_while_a_pod_is_ready(
    deployment: DeploymentFacts, expected: tuple[str, str]
) -> None:
    assert state(found(deployment=deployment, wanted=deployment.desired)["Available"]) == expected
