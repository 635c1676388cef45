"""The plan: what is applied, and above all what is not."""

from typing import Any

from outboxrelay.api.names import Reason
from outboxrelay.controller.plan import Applied, Child, Observed, Plan, plan
from outboxrelay.decisions.facts import Verdict
from outboxrelay.manifests.kinds import CHILD_KINDS
from outboxrelay.manifests.ownership import Ownership
from tests.support.relay_bodies import identity, manifest, relay_body

ALL = frozenset(CHILD_KINDS)
OURS = Child(Ownership.OURS, "seen")


def observed(**changes: Any) -> Observed:
    fields: dict[str, Any] = {
        "identity": identity(),
        "manifest": manifest(),
        "refusal": None,
        "image": "relay:1",
        "credentials": "hash",
        "looked_at": ALL,
    }
    return Observed(**(fields | changes))


def as_applied(decided: Plan) -> dict[str, Applied]:
    return {step.kind: Applied(step.digest, "seen") for step in decided.steps}


def kinds(decided: Plan) -> list[str]:
    return [step.kind for step in decided.steps]


def test_a_new_relay_gets_its_children_in_the_order_they_need_each_other() -> None:
    decided = plan(observed())
    assert decided.verdict.accepted
    assert kinds(decided) == ["ServiceAccount", "ConfigMap", "Deployment"]


def test_a_relay_that_is_as_it_should_be_needs_nothing() -> None:
    applied = as_applied(plan(observed()))
    assert plan(observed(children=dict.fromkeys(ALL, OURS), applied=applied)).steps == ()


def test_an_operator_that_comes_back_applies_each_child_once_without_calling_it_drift() -> None:
    decided = plan(observed(children=dict.fromkeys(ALL, OURS)))
    assert kinds(decided) == ["ServiceAccount", "ConfigMap", "Deployment"]
    assert [step.drift for step in decided.steps] == ["", "", ""]


def test_only_the_deployment_is_applied_when_the_relay_is_scaled() -> None:
    applied = as_applied(plan(observed()))
    decided = plan(
        observed(manifest=manifest(scaling={"replicas": 3}), children=dict.fromkeys(ALL, OURS), applied=applied)
    )
    assert kinds(decided) == ["Deployment"]


def test_what_somebody_changed_or_deleted_is_restored_and_said() -> None:
    applied = as_applied(plan(observed()))
    children = {"ConfigMap": Child(Ownership.OURS, "edited"), "ServiceAccount": OURS}
    decided = plan(observed(children=children, applied=applied))
    assert [(step.kind, step.drift) for step in decided.steps] == [
        ("ConfigMap", "was changed"),
        ("Deployment", "was deleted"),
    ]


def test_kinds_that_were_not_looked_at_are_left_alone() -> None:
    decided = plan(observed(looked_at=frozenset({"Deployment"})))
    assert kinds(decided) == ["Deployment"]


def test_an_object_of_somebody_else_is_never_touched() -> None:
    children = {"ConfigMap": Child(Ownership.FOREIGN, "x", "belongs to Helm release shop")}
    decided = plan(observed(children=children))
    assert decided.steps == ()
    assert decided.verdict.reason is Reason.INVALID_SPEC
    assert "ConfigMap orders-relay exists and belongs to Helm release shop" in decided.verdict.message


def test_the_children_of_a_deleted_relay_of_this_name_are_waited_for() -> None:
    decided = plan(observed(children={"Deployment": Child(Ownership.PREDECESSOR, "x")}))
    assert (decided.steps, decided.verdict.reason) == ((), Reason.PENDING)
    assert decided.again_after is not None


def test_an_invalid_spec_leaves_everything_as_it_is() -> None:
    refusal = Verdict(Reason.INVALID_SPEC, "spec.x: unknown field")
    assert plan(observed(manifest=None, refusal=refusal)) == Plan(refusal)


def test_a_missing_secret_leaves_running_pods_as_they_are() -> None:
    refusal = Verdict(Reason.SECRET_NOT_FOUND, "Secret orders-db not found")
    decided = plan(observed(refusal=refusal, children=dict.fromkeys(ALL, OURS)))
    assert decided == Plan(refusal)


def test_a_stopped_relay_is_stopped_even_while_its_secret_is_missing() -> None:
    refusal = Verdict(Reason.SECRET_NOT_FOUND, "Secret orders-db not found")
    decided = plan(observed(refusal=refusal, manifest=manifest(state="Stopped"), children=dict.fromkeys(ALL, OURS)))
    assert [step.body["spec"]["replicas"] for step in decided.steps] == [0]


def test_a_relay_whose_table_another_one_has_runs_no_pods() -> None:
    refusal = Verdict(Reason.CONFLICTING_RELAY, "older")
    assert plan(observed(refusal=refusal)).steps == ()
    decided = plan(observed(refusal=refusal, children=dict.fromkeys(ALL, OURS)))
    assert [step.body["spec"]["replicas"] for step in decided.steps] == [0]


def test_children_are_worked_out_anew_only_when_what_they_are_made_from_changes() -> None:
    first = plan(observed())
    again = plan(observed(applied=as_applied(first), known=first.desired))
    assert again.desired is first.desired
    for change in ({"image": "relay:2"}, {"credentials": "other"}, {"identity": identity(relay_body(generation=2))}):
        changed = plan(observed(known=first.desired, **change))
        assert changed.desired is not first.desired
        assert changed.steps == plan(observed(**change)).steps
    more = manifest(scaling={"mode": "Auto"})
    assert plan(observed(manifest=more, replicas=3, known=plan(observed(manifest=more, replicas=2)).desired)).steps == (
        plan(observed(manifest=more, replicas=3)).steps
    )
