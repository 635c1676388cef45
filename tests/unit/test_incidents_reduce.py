"""The life of an incident: two looks open it, three close it, and noise does neither."""

from dataclasses import replace
from datetime import timedelta

from outboxrelay.api.incidents import MAX_INCIDENTS
from outboxrelay.decisions.incidents.detect import Signal
from outboxrelay.decisions.incidents.kinds import KINDS, MOST_CLOSE_TICKS, close_ticks
from outboxrelay.decisions.incidents.reduce import Incidents, ended
from outboxrelay.decisions.incidents.status import as_status, from_status, parse_incidents
from tests.support.incident_story import BROKER, CRASH, LAG, POISON, STALL, START, Story


def test_a_fault_that_is_seen_twice_is_opened_with_its_start_and_its_detection() -> None:
    story = Story()
    assert story.look(BROKER) == ()
    (change,) = story.look(BROKER)
    incident = change.incident
    assert change.opened
    assert incident.started_at == START + timedelta(seconds=105)
    assert incident.detected_at == START + timedelta(seconds=110)
    assert (incident.severity, incident.scope, incident.occurrences) == ("Critical", "kafka:9092", 1)


def test_one_bad_look_alone_is_forgotten() -> None:
    story = Story()
    for _ in range(20):
        story.look(BROKER)
        story.look()
    assert story.told() == []


def test_two_looks_in_quick_succession_are_one() -> None:
    story = Story()
    story.look(BROKER)
    story.look(BROKER, after=0.1)
    story.look(BROKER, after=0.1)
    assert story.told() == []
    story.look(BROKER, after=4.0)
    assert story.told() == ["opened"]


def test_it_is_closed_after_three_good_looks_with_the_time_of_the_first() -> None:
    story = Story()
    story.looks(2, BROKER)
    story.looks(2)
    assert story.told() == ["opened"]
    (change,) = story.look()
    assert not change.opened
    assert change.incident.resolved_at == START + timedelta(seconds=115)


def test_a_bad_look_between_starts_the_count_of_good_ones_anew() -> None:
    story = Story()
    story.looks(2, BROKER)
    for _ in range(10):
        story.looks(2)
        story.look(BROKER)
    assert story.told() == ["opened"]


def test_what_cannot_be_judged_neither_opens_nor_closes() -> None:
    story = Story()
    story.looks(2, BROKER)
    story.looks(10, unknown=["BrokerUnavailable"])
    assert story.told() == ["opened"]
    story.looks(3)
    assert story.told() == ["opened", "closed"]


def test_an_unknown_look_between_two_bad_ones_does_not_break_them_apart() -> None:
    story = Story()
    story.look(BROKER)
    story.look(unknown=["BrokerUnavailable"])
    assert story.look(BROKER)


def test_what_comes_back_within_ten_minutes_is_the_same_incident_once_more() -> None:
    story = Story()
    story.looks(2, BROKER)
    story.looks(3)
    story.looks(2, BROKER, after=300)
    first, closed, again = [change.incident for change, _ in story.changes]
    assert (again.id, again.occurrences, again.open) == (first.id, 2, True)
    assert again.started_at == first.started_at
    assert closed.id == first.id
    assert [item.id for item in story.incidents.items] == [first.id]


def test_what_comes_back_later_is_another_incident() -> None:
    story = Story()
    story.looks(2, BROKER)
    story.looks(3)
    story.look(after=700)
    story.looks(2, BROKER)
    first, _, again = [change.incident for change, _ in story.changes]
    assert again.id != first.id
    assert again.occurrences == 1


def test_the_more_often_it_comes_back_the_longer_it_must_stay_away() -> None:
    assert [close_ticks("PoisonRows", number) for number in (1, 2, 3, 4, 5, 100)] == [
        3,
        6,
        12,
        24,
        MOST_CLOSE_TICKS,
        24,
    ]
    story = Story()
    for _ in range(60):
        story.looks(2, BROKER)
        story.looks(4)
    assert story.told() == ["opened", "closed", "opened"]


def test_a_crash_loop_counts_at_once_since_kubernetes_has_counted_already() -> None:
    assert Story().look(CRASH)


def test_one_answer_that_two_looks_find_is_one() -> None:
    story = Story()
    first = replace(BROKER, seen_at=story.at + 5)
    assert story.look(first) == ()
    assert story.look(first) == ()
    assert story.look() == ()
    second = replace(BROKER, seen_at=story.at + 5)
    assert story.look(second) == ()
    assert story.look(replace(BROKER, seen_at=story.at + 5))


def test_a_stall_counts_at_once_since_it_took_many_looks_to_see_it() -> None:
    assert Story().look(STALL)


def test_a_process_that_runs_for_a_while_between_two_ends_makes_no_two_incidents() -> None:
    story = Story()
    for _ in range(20):
        story.looks(3, CRASH)
        story.looks(8)
    assert story.told() == ["opened"]
    story.looks(4)
    assert story.told() == ["opened", "closed"]


def test_a_symptom_is_not_told_while_something_explains_it_nor_right_after() -> None:
    story = Story()
    story.looks(2, BROKER, LAG, explained=True)
    story.looks(20, BROKER, LAG, explained=True)
    story.looks(8, LAG)
    assert [change.incident.type for change, _ in story.changes] == ["BrokerUnavailable", "BrokerUnavailable"]
    story.looks(8, LAG)
    assert story.changes[-1][0].incident.type == "LagObjectiveMissed"


def test_a_stall_is_no_news_in_the_first_look_that_does_not_see_its_cause_any_more() -> None:
    story = Story()
    story.looks(4, BROKER, STALL, explained=True)
    story.look(STALL)
    story.looks(10)
    assert [change.incident.type for change, _ in story.changes] == ["BrokerUnavailable", "BrokerUnavailable"]


def test_a_symptom_that_was_open_before_stays_as_it_is_while_it_is_explained() -> None:
    story = Story()
    story.looks(2, LAG)
    story.looks(10, BROKER, LAG, explained=True)
    assert story.told() == ["opened", "opened"]


def test_the_text_follows_the_reason_and_not_every_number() -> None:
    story = Story()
    story.looks(2, POISON)
    story.look(Signal(POISON.type, POISON.reason, "2 rows are in quarantine"))
    assert story.incidents.items[0].message == "1 rows are in quarantine"
    story.look(Signal(POISON.type, "Other", "2 rows are in quarantine"))
    assert story.incidents.items[0].message == "2 rows are in quarantine"


def test_a_new_leader_goes_on_from_the_status_without_opening_anything_anew() -> None:
    story = Story()
    story.looks(2, BROKER)
    written = [item.model_dump(by_alias=True) for item in as_status(story.incidents.items, "docs/incidents")]
    story.incidents = Incidents(from_status(parse_incidents(written)))
    story.looks(5, BROKER)
    assert story.told() == ["opened"]
    story.looks(3)
    assert story.told() == ["opened", "closed"]
    assert story.changes[0][0].incident.id == story.changes[1][0].incident.id


def test_what_another_version_of_the_operator_opened_is_closed_when_nobody_sees_it() -> None:
    story = Story()
    story.looks(2, BROKER)
    (item,) = as_status(story.incidents.items, "docs/incidents")
    foreign = item.model_copy(update={"type": "FromTheFuture"})
    story.incidents = Incidents(from_status([foreign]))
    story.looks(3)
    assert story.told() == ["opened", "closed"]


def test_a_status_that_makes_no_sense_is_read_as_far_as_it_does() -> None:
    good = {
        "id": "a",
        "type": "PoisonRows",
        "severity": "Warning",
        "state": "Open",
        "startedAt": "2026-01-01T00:00:00Z",
        "detectedAt": "2026-01-01T00:00:05Z",
        "reason": "PoisonRows",
        "message": "m",
        "runbook": "r",
    }
    twin = {**good, "id": "b"}
    bad_time = {**good, "id": "c", "startedAt": "yesterday"}
    unended = {**good, "id": "d", "state": "Resolved"}
    newer = {**good, "id": "e", "type": "NoProgress", "added": 1}
    parsed = parse_incidents([good, twin, bad_time, unended, newer, "x", {"id": 5}])
    assert [item.id for item in from_status(parsed)] == ["a", "e"]
    assert parse_incidents(None) == []
    assert len(parse_incidents([{**good, "id": str(number)} for number in range(99)])) == MAX_INCIDENTS


def test_a_relay_that_is_gone_has_no_open_incident() -> None:
    story = Story()
    story.looks(2, BROKER, POISON)
    rest, changes = ended(story.incidents, story.now)
    assert rest.items == ()
    assert [change.opened for change in changes] == [False, False]


def test_only_a_few_that_ended_are_kept_and_none_for_more_than_a_day() -> None:
    story = Story()
    for _ in range(9):
        story.looks(2, BROKER, after=700)
        story.looks(3)
    assert len(story.incidents.items) == 5
    story.look(after=90_000)
    assert not story.incidents.items


def test_every_type_of_one_scope_fits_into_the_status() -> None:
    signals = [Signal(kind.type, "R", "m") for kind in KINDS.values()]
    story = Story()
    for _ in range(6):
        story.looks(2, BROKER, after=700)
        story.looks(3)
    story.look(after=100)
    story.looks(2, *signals)
    assert len(story.incidents.open()) == len(KINDS)
    assert len(as_status(story.incidents.items, "docs/incidents")) == len(KINDS) + 5
