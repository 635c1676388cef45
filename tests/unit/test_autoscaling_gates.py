"""The gates of the autoscaler one by one: what shuts each, and what is done then."""

from dataclasses import replace
from typing import Any

import pytest

from outboxrelay.api.names import Reason
from outboxrelay.decisions.autoscaling.decide import decide
from outboxrelay.decisions.autoscaling.estimate import estimate, followed
from outboxrelay.decisions.autoscaling.values import Block, Decision, Reading, State, Trial
from tests.support.plant import policy

NOW = 10_000.0
LONG_AGO = NOW - 9_000
URGENT = {"rows": 50_000, "lag": 100.0, "delivered": 400.0, "busy": 1.0, "full": 1.0}


def reading(**changes: Any) -> Reading:
    """Four pods that keep up."""
    fields: dict[str, Any] = {
        "now": NOW,
        "rows": 20,
        "lag": 0.5,
        "counted_at": NOW - 2,
        "ready": 4,
        "told": 4,
        "seasoned": True,
        "delivered": 300.0,
        "busy": 0.7,
        "full": 0.0,
        "read_seconds": 0.01,
    }
    return Reading(**(fields | changes))


def state(replicas: int = 4, **changes: Any) -> State:
    known: dict[str, Any] = {"capacity": 100.0, "wants": ((NOW - 1, 1),), "wants_since": LONG_AGO}
    return State(replicas, **(known | changes))


def decided(seen: Reading, before: State | None = None, **rules: Any) -> Decision:
    return decide(policy(**rules), seen, before or state())[0]


def outcome(decision: Decision) -> tuple[int, str]:
    return decision.desired, decision.reason


def test_a_backlog_that_is_late_brings_more_pods_at_most_twice_as_many() -> None:
    assert outcome(decided(reading(**URGENT))) == (8, "Active")


@pytest.mark.parametrize(
    "changes",
    [
        {"counted_at": NOW - 16},
        {"rows": None},
        {"silent": 1},
        {"told": 0},
    ],
)
def test_what_was_not_observed_lately_holds_the_number_of_pods(changes: dict[str, Any]) -> None:
    before = state(mute_since=NOW - 15)
    assert outcome(decided(reading(**(URGENT | changes)), before)) == (4, "MetricsUnavailable")
    idle = {"rows": 0, "delivered": 0.0, "busy": 0.0, "lag": None}
    assert outcome(decided(reading(**(idle | changes)), before)) == (4, "MetricsUnavailable")


def test_a_table_that_was_never_counted_is_not_said_to_be_old() -> None:
    new, old = decided(reading(rows=None)), decided(reading(counted_at=NOW - 16))
    assert new.message == "the table has not been counted yet"
    assert old.message == "the table was not counted for 15 s"


def test_a_pod_that_has_just_become_ready_has_15_seconds_to_tell_how_it_is() -> None:
    moment, after = reading(silent=1), state()
    for passed, reason in ((0, "Active"), (10, "Active"), (15, "MetricsUnavailable")):
        decision, after = decide(policy(), replace(moment, now=NOW + passed, counted_at=NOW + passed), after)
        assert decision.reason == reason
    told = replace(moment, now=NOW + 20, counted_at=NOW + 20, silent=0)
    assert decide(policy(), told, after)[0].reason == "Active"


def test_brokers_that_are_down_hold_it_and_win_over_a_strained_database() -> None:
    seen = reading(**URGENT, target_fault="BrokerUnavailable", source_fault="TooManyConnections")
    assert outcome(decided(seen)) == (4, "TargetDown")


@pytest.mark.parametrize("changes", [{"source_fault": "TooManyConnections"}, {"read_seconds": 2.5}])
def test_a_strained_database_gets_no_more_pods_and_after_60_seconds_a_quarter_less(changes: dict[str, Any]) -> None:
    seen = reading(**URGENT, **({"read_seconds": 0.01} | changes) if "read_seconds" not in changes else changes)
    decision, after = decide(policy(), replace(seen, now=NOW, counted_at=NOW), state(8))
    assert outcome(decision) == (8, "SourceSaturated")
    numbers = []
    for passed in range(5, 200, 5):
        moment = replace(seen, now=NOW + passed, counted_at=NOW + passed, ready=after.replicas)
        decision, after = decide(policy(), moment, after)
        numbers.append((passed, decision.desired))
    assert [(at, n) for (at, n), (_, m) in zip(numbers[1:], numbers, strict=False) if n != m] == [
        (60, 6),
        (120, 5),
        (180, 4),
    ]


def test_a_strained_database_never_loses_the_last_pod() -> None:
    seen = reading(**URGENT, source_fault="TooManyConnections")
    assert decided(seen, state(1, saturated_since=LONG_AGO)).desired == 1
    assert decided(seen, state(3, saturated_since=LONG_AGO), minimum=3).desired == 3


def test_rows_that_wait_for_something_else_bring_pods_only_where_pods_have_no_time_left() -> None:
    errors = {"errors": "rows wait for topic a"}
    assert outcome(decided(reading(**(URGENT | {"full": 0.1} | errors)))) == (4, "NoProgress")
    assert outcome(decided(reading(**URGENT, **errors))) == (8, "Active")


def test_pods_that_hold_themselves_back_hold_the_number() -> None:
    assert outcome(decided(reading(**URGENT, slowed="ramp"))) == (4, "RecoveryRamp")
    assert outcome(decided(reading(**URGENT), state(target_down_at=NOW - 119))) == (4, "RecoveryRamp")
    assert outcome(decided(reading(**URGENT), state(target_down_at=NOW - 121))) == (8, "Active")


def test_while_a_step_up_is_on_trial_there_is_no_other() -> None:
    trial = Trial(NOW - 20, 2, 4, delivered=400.0, promised=200.0)
    assert outcome(decided(reading(**URGENT), state(trial=trial))) == (4, "Active")


def test_a_step_up_that_kept_its_promise_is_followed_by_the_next() -> None:
    trial = Trial(NOW - 20, 2, 4, delivered=200.0, promised=200.0, ready_at=NOW - 15)
    before = state(trial=trial, raised_at=NOW - 20, block=Block(NOW - 5, 2))
    decision, after = decide(policy(), reading(**URGENT), before)
    assert outcome(decision) == (8, "Active")
    assert after.block.times == 0


def test_what_pods_tell_of_the_time_before_all_were_ready_does_not_count_for_a_step_up() -> None:
    trial = Trial(NOW - 20, 2, 4, delivered=390.0, promised=200.0, ready_at=NOW - 10)
    decision, after = decide(policy(), reading(**(URGENT | {"delivered": 600.0})), state(trial=trial))
    assert outcome(decision) == (4, "Active")
    later = reading(**(URGENT | {"now": NOW + 26, "counted_at": NOW + 26}))
    assert decide(policy(), later, after)[0].step == "ScaleReverted"


def test_a_step_up_waits_until_the_pods_that_there_are_have_shown_what_they_deliver() -> None:
    decision = decided(reading(**URGENT, seasoned=False))
    assert outcome(decision) == (4, "Active")
    assert "not known yet what it delivers" in decision.message
    _, after = decide(policy(), reading(**(URGENT | {"busy": 0.5, "full": 0.5})), state())
    assert after.trial is not None
    assert after.trial.delivered == 800.0


def test_a_step_up_without_a_need_for_more_is_no_failure() -> None:
    trial = Trial(NOW - 60, 3, 4, delivered=300.0, promised=100.0, ready_at=NOW - 50)
    decision, after = decide(policy(), reading(delivered=280.0), state(trial=trial))
    assert outcome(decision) == (4, "Active")
    assert after.trial is None
    assert after.block.times == 0


def test_a_step_up_that_did_not_help_is_reverted_and_named_with_its_numbers() -> None:
    trial = Trial(NOW - 46, 2, 4, delivered=390.0, promised=200.0, ready_at=NOW - 30)
    decision, after = decide(policy(), reading(**URGENT), state(trial=trial))
    assert outcome(decision) == (2, "Ineffective")
    assert decision.step == "ScaleReverted"
    assert "from 2 to 4 pods brought 10 of the 200 rows/s that it promised" in decision.message
    assert after.block.until == NOW + 600


@pytest.mark.parametrize(
    "changes", [{"counted_at": LONG_AGO}, {"target_fault": "BrokerUnavailable"}, {"slowed": "ramp"}]
)
def test_a_step_up_is_not_judged_by_what_is_seen_in_an_outage(changes: dict[str, Any]) -> None:
    trial = Trial(NOW - 200, 2, 4, delivered=390.0, promised=200.0, ready_at=NOW - 190)
    decision, after = decide(policy(), reading(**(URGENT | changes)), state(trial=trial))
    assert decision.desired == 4
    later = reading(**URGENT, now=NOW + 130, counted_at=NOW + 130)
    assert decide(policy(ramp_seconds=0), replace(later, now=NOW + 40, counted_at=NOW + 40), after)[0].desired == 4
    assert decide(policy(), later, after)[0].reason == "Ineffective"


def test_a_block_holds_off_more_pods_and_lets_fewer_through() -> None:
    before = state(block=Block(NOW + 100, 1))
    assert outcome(decided(reading(**URGENT), before)) == (4, "Ineffective")
    assert decided(reading(delivered=100.0, busy=0.25), before).desired == 3


def test_a_need_within_a_tenth_of_what_there_is_changes_nothing() -> None:
    assert decided(reading(delivered=280.0)).desired == 4
    assert decided(reading(delivered=310.0, rows=0, lag=None), state(4)).desired == 5


def test_a_need_that_sways_around_what_is_allowed_is_told_once() -> None:
    before, told = state(), []
    for delivered in (290.0, 330.0, 300.0, 330.0, 270.0, 300.0):
        decision, before = decide(policy(maximum=4), reading(delivered=delivered, rows=0, lag=None), before)
        told.append(str(decision.reason))
    assert told == ["Active", "AtMaximum", "AtMaximum", "AtMaximum", "Active", "Active"]


def test_fewer_pods_need_a_whole_window_in_which_fewer_sufficed() -> None:
    quiet = reading(delivered=50.0, busy=0.1)
    assert decided(quiet, state(8)).desired == 6
    assert decided(quiet, state(8, wants=((NOW - 200, 8),))).desired == 8
    assert decided(quiet, state(8, wants_since=NOW - 299)).desired == 8
    assert decided(quiet, state(8, lowered_at=NOW - 59)).desired == 8


@pytest.mark.parametrize("gap", [{"counted_at": LONG_AGO}, {"target_fault": "BrokerUnavailable"}])
def test_after_a_gap_in_what_is_seen_the_window_begins_anew(gap: dict[str, Any]) -> None:
    quiet = {"delivered": 50.0, "busy": 0.1, "ready": 8, "told": 8}
    _, after = decide(policy(ramp_seconds=0), reading(**(quiet | gap)), state(8))
    for passed in range(5, 310, 5):
        moment = reading(**quiet, now=NOW + passed, counted_at=NOW + passed)
        decision, after = decide(policy(ramp_seconds=0), moment, after)
        assert decision.desired == (8 if passed < 305 else 6), passed


def test_what_is_needed_is_for_the_backlog_for_what_arrives_till_pods_start_and_for_what_arrives() -> None:
    known = State(4, capacity=100.0, start_seconds=10.0, counts=((NOW - 15, 1000, 280.0), (NOW - 5, 2000, 300.0)))
    seen = reading(rows=2400, lag=8.0, delivered=300.0, counted_at=NOW)
    found = estimate(policy(), seen, followed(policy(), seen, known))
    # 1400 rows more in 15 s, beside 300 that were delivered.
    assert found.arriving == pytest.approx(300 + 1400 / 15)
    assert found.need == pytest.approx(2400 / 120 + found.arriving * 10 / 120 + found.arriving / 0.7)
    assert found.want == 7
    late = replace(seen, lag=31.0, rows=60_000)
    assert estimate(policy(), late, followed(policy(), late, known)).need > 60_000 / 30
    level = state(4, start_seconds=10.0)
    late = replace(late, delivered=300.0)
    assert estimate(policy(), late, level).need == pytest.approx(60_000 / 30)
    assert estimate(policy(max_lag=2), late, level).need == pytest.approx(60_000 / 5)
    assert estimate(policy(), replace(late, delivered=0.0), level).need == pytest.approx(60_000 / 120)


def test_a_leader_that_begins_takes_nothing_away_before_its_window_is_whole() -> None:
    after, desired = State(8), []
    for passed in range(0, 400, 5):
        moment = reading(now=NOW + passed, counted_at=NOW + passed, ready=8, told=8, delivered=50.0, busy=0.1)
        decision, after = decide(policy(), moment, after)
        desired.append((passed, decision.desired))
    assert {number for passed, number in desired if passed < 300} == {8}
    assert dict(desired)[300] == 6


def test_pods_come_only_when_it_is_known_what_one_can_do_or_rows_are_late() -> None:
    busy = {"rows": 3000, "delivered": 300.0, "busy": 0.9, "full": 0.2}
    assert decided(reading(**busy, lag=3.0), state(2, capacity=None)).desired == 2
    assert decided(reading(**busy, lag=60.0), state(2, capacity=None)).desired > 2


def test_what_a_pod_can_do_is_learned_only_where_it_has_as_much_to_do_as_it_can() -> None:
    slow = {"rows": 50_000, "delivered": 200.0, "full": 1.0, "busy": 1.0}
    for changes, learned in (
        ({}, 50.0),
        ({"seasoned": False}, None),
        ({"full": 0.5, "busy": 0.5}, None),
        ({"slowed": "ramp"}, None),
        ({"target_fault": "BrokerUnavailable"}, None),
        ({"counted_at": NOW - 60}, None),
    ):
        _, after = decide(policy(), reading(**(slow | changes)), state(capacity=None))
        assert after.capacity == learned, changes


def test_rows_that_became_lighter_raise_what_a_pod_can_do() -> None:
    _, after = decide(policy(), reading(delivered=2000.0, busy=0.9), state(capacity=100.0))
    assert after.capacity is not None
    assert 100 < after.capacity < 2000 / 4 / 0.9


def test_bounds_that_change_are_followed_at_once_even_while_nothing_can_be_seen() -> None:
    assert decided(reading(counted_at=LONG_AGO), state(8), maximum=6).desired == 6
    assert decided(reading(counted_at=LONG_AGO), state(1), minimum=3).desired == 3


def test_a_sleeping_relay_wakes_at_the_first_row_though_brokers_are_down_but_not_on_a_stale_count() -> None:
    row = {"rows": 1, "ready": 0, "told": 0, "delivered": 0.0, "busy": 0.0}
    assert decided(reading(**row, target_fault="BrokerUnavailable"), state(0), minimum=0).step == "Woken"
    assert decided(reading(**row, counted_at=NOW - 60), state(0), minimum=0).desired == 0


@pytest.mark.parametrize(
    "changes", [{"rows": 1, "lag": 1.0}, {"delivered": 1.0}, {"exact": False}, {"target_fault": "BrokerUnavailable"}]
)
def test_a_relay_with_anything_to_do_does_not_fall_asleep(changes: dict[str, Any]) -> None:
    seen = {"rows": 0, "lag": None, "delivered": 0.0, "busy": 0.0, "ready": 1, "told": 1}
    before = state(1, silent_since=LONG_AGO)
    assert decided(reading(**seen), before, minimum=0).desired == 0
    assert decided(reading(**(seen | changes)), before, minimum=0).desired == 1


def test_the_first_gate_that_is_shut_is_the_reason_and_all_are_told() -> None:
    decision = decided(reading(**URGENT, source_fault="TooManyConnections", slowed="ramp", unmoved=True))
    assert decision.reason == Reason.SOURCE_SATURATED
    assert [(gate.name, gate.shut) for gate in decision.gates] == [
        ("MetricsUnavailable", False),
        ("TargetDown", False),
        ("SourceSaturated", True),
        ("NoProgress", True),
        ("RecoveryRamp", True),
        ("Ineffective", False),
    ]
