"""status: what is written, how often, and which changes are news."""

from typing import Any

import pytest

from outboxrelay.api.status import ConditionStatus, HeldStatus, OutboxRelayStatus
from outboxrelay.decisions.backlog import Progress, lag_display, progressed, rounded, rows_display
from outboxrelay.decisions.facts import Count, Finding, PodReport
from outboxrelay.decisions.refusals import refusal, user_path
from outboxrelay.decisions.summary import Frame, parse_conditions, status_of, worth_writing
from outboxrelay.decisions.transitions import held_news, ready_news, with_history
from tests.support.relay_bodies import held_row, report
from tests.unit.test_controller_conditions import NOW, facts


def frame(now: str = "2026-01-01T00:00:00Z") -> Frame:
    return Frame(generation=3, version="1.0", selector="a=b", now=now)


def status(
    before: OutboxRelayStatus | None = None, now: str = "2026-01-01T00:00:00Z", **changes: Any
) -> OutboxRelayStatus:
    return status_of(facts(**changes), frame(now), before or OutboxRelayStatus())


@pytest.mark.parametrize(
    ("rows", "exact", "shown"),
    [
        (0, True, "0"),
        (48, True, "48"),
        (483, True, "480"),
        (1234, True, "1.2k"),
        (2000, True, "2k"),
        (9960, True, "10k"),
        (50_321, True, "50k"),
        (99_999, True, "100k"),
        (100_000, False, ">100k"),
    ],
)
def test_rows_are_shown_as_people_say_them(rows: int, exact: bool, shown: str) -> None:
    assert rows_display(rows, exact) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0s"), (3.4, "3s"), (130, "2m10s"), (3600, "1h00m"), (90_000, "1d1h"), (-5, "0s")],
)
def test_lag_is_shown_as_people_say_it(seconds: float | None, shown: str) -> None:
    assert lag_display(seconds) == shown


def test_numbers_keep_two_digits_so_that_status_does_not_change_with_every_row() -> None:
    assert [rounded(number) for number in (7, 42, 123, 98_765)] == [7, 42, 120, 99_000]


def test_a_change_of_meaning_is_written_at_once_and_numbers_only_so_often() -> None:
    old = status(count=Count(NOW, 10, True, 1.0))
    more = status(old, now="2026-01-01T00:00:05Z", count=Count(NOW, 500, True, 1.0))
    worse = status(old, deployment=None)
    assert not worth_writing(old, more, since=5, interval=15)
    assert worth_writing(old, more, since=15, interval=15)
    assert worth_writing(old, worse, since=0, interval=15)


def test_the_same_numbers_counted_later_are_not_written_again() -> None:
    old = status(now="2026-01-01T00:00:00Z")
    same = status(old, now="2026-01-01T01:00:00Z")
    assert not worth_writing(old, same, since=3600, interval=15)


def test_what_cannot_be_counted_now_keeps_its_last_value() -> None:
    old = status(count=Count(NOW, 10, True, 1.0))
    assert status(old, count=None).backlog == old.backlog


def test_held_rows_are_counted_and_shown() -> None:
    shown = status(reports=(PodReport(NOW, report(held=(held_row(),))),)).held
    assert shown is not None
    assert shown.keys == 1
    assert shown.examples == ["row 7, key 'k1': RowTooLarge: 2000000 bytes, the topic takes 1048588"]


def test_held_rows_are_not_forgotten_while_no_pod_answers() -> None:
    before = OutboxRelayStatus(held=HeldStatus(keys=2))
    assert status(before, reports=()).held == before.held


def condition(status_value: str, reason: str, when: str = "2026-01-01T00:00:00Z") -> ConditionStatus:
    return ConditionStatus.model_validate(
        {"type": "Ready", "status": status_value, "reason": reason, "message": "m", "lastTransitionTime": when}
    )


def test_the_transition_time_stays_while_the_status_does() -> None:
    before = [condition("False", "ConnectFailed")]
    [same] = with_history([Finding("Ready", "False", "Timeout", "m")], before, generation=1, now="2026-02-02T00:00:00Z")
    [other] = with_history([Finding("Ready", "True", "Idle", "m")], before, generation=1, now="2026-02-02T00:00:00Z")
    assert same.last_transition_time == "2026-01-01T00:00:00Z"
    assert other.last_transition_time == "2026-02-02T00:00:00Z"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], ("False", "TableNotFound"), [("Warning", "TableNotFound")]),
        ([("False", "TableNotFound")], ("True", "Idle"), [("Normal", "Idle")]),
        ([("True", "Idle")], ("True", "Delivering"), []),
        ([("True", "Idle")], ("False", "Paused"), [("Normal", "Paused")]),
        ([("False", "Timeout")], ("False", "Timeout"), []),
        ([], ("Unknown", "Pending"), []),
    ],
)
def test_an_event_is_told_when_readiness_changes_and_only_then(
    before: list[tuple[str, str]], after: tuple[str, str], told: list[tuple[str, str]]
) -> None:
    news = ready_news([condition(*item) for item in before], [condition(*after)])
    assert [(item.type, item.reason) for item in news] == told


def test_held_rows_are_news_when_they_appear_and_when_all_are_gone() -> None:
    assert [item.reason for item in held_news(0, 1, "row 7")] == ["RowHeld"]
    assert held_news(1, 1, "row 7") == []
    assert [item.reason for item in held_news(1, 0, "")] == ["RowsReleased"]


def test_conditions_of_another_version_are_read_as_far_as_they_are_known() -> None:
    known = {"type": "Ready", "status": "True", "reason": "Idle", "message": "", "lastTransitionTime": "t", "new": 1}
    assert [item.type for item in parse_conditions([known, {"type": "Odd"}, "x"])] == ["Ready"]
    assert parse_conditions(None) == []


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (
            422,
            'Deployment.apps "x" is invalid: spec.template.spec.affinity.nodeAffinity: Required value',
            "InvalidSpec",
        ),
        (
            500,
            "failed to create typed patch object: .spec.template.spec.affinity.x: field not declared in schema",
            "InvalidSpec",
        ),
        (500, "unable to convert unstructured object to apps/v1: quantities must match", "InvalidSpec"),
        (403, "exceeded quota: small", None),
    ],
)
def test_what_the_api_server_refuses_is_the_specs_fault_or_something_in_its_way(
    code: int, message: str, reason: str | None
) -> None:
    found = refusal(code, message, "Deployment")
    assert found is not None
    assert (found.verdict.reason if found.verdict else None) == reason


@pytest.mark.parametrize(
    ("code", "message"), [(500, "etcd is slow"), (409, "conflict"), (403, "namespace x is being terminated")]
)
def test_what_may_pass_is_tried_again(code: int, message: str) -> None:
    assert refusal(code, message, "Deployment") is None


def test_refusals_name_fields_where_the_user_wrote_them() -> None:
    assert (
        user_path("spec.template.spec.affinity.nodeAffinity: Required")
        == "spec.template.affinity.nodeAffinity: Required"
    )
    assert user_path("spec.template.spec.containers[0].resources.limits: bad") == "spec.template.resources.limits: bad"
    assert user_path(".spec.template.spec.tolerations: bad") == "spec.template.tolerations: bad"
    assert user_path("quantities must match '^([+-]'") == "spec.template.resources: quantities must match '^([+-]'"


def test_rows_move_when_pods_deliver_or_fewer_wait() -> None:
    start = Progress(0.0, delivered=10, waiting=5)
    assert progressed(start, now=9.0, waiting=5, delivered=10).at == 0.0
    assert progressed(start, now=9.0, waiting=5, delivered=11).at == 9.0
    assert progressed(start, now=9.0, waiting=4, delivered=None).at == 9.0
    assert progressed(start, now=9.0, waiting=0, delivered=None).at == 9.0
    assert progressed(start, now=9.0, waiting=7, delivered=10, excused=True).at == 9.0


def test_only_rows_that_left_are_rows_that_moved() -> None:
    start = Progress(0.0, delivered=10, waiting=5)
    assert progressed(start, now=9.0, waiting=7, delivered=10, excused=True).moved_at is None
    moved = progressed(start, now=9.0, waiting=4, delivered=10, counted_at=8.0)
    assert moved.moved_at == 8.0
    emptied = progressed(moved, now=19.0, waiting=0, delivered=None, counted_at=18.0)
    assert emptied.moved_at == 18.0
    assert progressed(emptied, now=29.0, waiting=0, delivered=None).moved_at == 18.0
    assert progressed(start, now=9.0, waiting=5, delivered=11, delivered_at=7.0).moved_at == 7.0


def test_rows_moved_when_they_did_and_not_when_somebody_looked() -> None:
    start = Progress(0.0, 10, 5)
    assert progressed(start, now=9.0, waiting=5, delivered=11, delivered_at=7.0).at == 7.0
    assert progressed(start, now=9.0, waiting=0, delivered=10, counted_at=6.0).at == 6.0
    assert progressed(start, now=9.0, waiting=0, delivered=11, counted_at=6.0, delivered_at=99.0).at == 9.0
    assert progressed(start, now=9.0, waiting=4, delivered=10, counted_at=-1.0).at == 0.0
