"""What is kept of the number of pods of a relay and of its reasons."""

from typing import Any

from outboxrelay.decisions.autoscaling.published import step_message
from tests.support.plant import Plant
from tests.support.scaling_diary import SENTENCE, ScalingDiary


def deployment(replicas: int, ready: int, name: str = "orders-relay") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}


def relay(reason: str, message: str, step: str = "") -> dict[str, Any]:
    condition = {"type": "ScalingActive", "status": "False", "reason": reason, "message": message}
    scaling = {"lastStep": {"reason": "ScaledUp", "message": step}} if step else {}
    return {"metadata": {"name": "orders"}, "status": {"conditions": [condition], "scaling": scaling}}


def test_only_what_changes_is_kept_and_others_are_left_out() -> None:
    diary = ScalingDiary("orders", "orders-relay", began=100.0)
    diary.note_deployment(deployment(9, 9, "another"), 100)
    for now, replicas, ready in ((101, 1, 0), (103, 1, 1), (110, 3, 1), (115, 3, 3)):
        diary.note_deployment(deployment(replicas, ready), now)
    for now, reason in ((101, "Active"), (102, "Active"), (120, "TargetDown")):
        diary.note_relay(relay(reason, f"{reason} at {now}", "1 to 3 pods"), now)
    assert diary.pods == [1, 3]
    assert diary.ready == [(101, 0), (103, 1), (115, 3)]
    assert diary.why == "False TargetDown"
    assert diary.table().splitlines() == [
        "pods asked for: 1 (1 s), 3 (10 s)",
        "pods ready:     0 (1 s), 1 (3 s), 3 (15 s)",
        "     1 s  False Active           Active at 101",
        "     1 s  ScaledUp               1 to 3 pods",
        "    20 s  False TargetDown       TargetDown at 120",
    ]


def test_the_sentence_of_every_step_is_understood() -> None:
    plant = Plant(lambda _now: 600.0, replicas=3, database=250.0).run(100)
    steps = [step_message(decision) for decision in plant.decisions if decision.step]
    found = [SENTENCE.fullmatch(step) for step in steps]
    assert [(match["before"], match["after"]) for match in found if match] == [("3", "6"), ("6", "3")]
