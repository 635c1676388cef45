"""What receivers are told, and what each has still to be told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.incidents.notices import Notice, alert, cloud_event, notice_of
from outboxrelay.decisions.incidents.outbox import MAX_ENTRIES, MAX_REFUSALS, Outbox
from outboxrelay.decisions.incidents.reduce import Incident

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = ("shop", "orders")


def notice(name: str = "a", *, closed: bool = False, relays: int = 1, scope: str = "", occurrences: int = 1) -> Notice:
    incident = Incident(
        id=f"PoisonRows-{name}",
        type="BrokerUnavailable" if scope else "PoisonRows",
        scope=scope,
        severity="Critical" if scope else "Warning",
        started_at=START,
        detected_at=START + timedelta(seconds=5),
        reason="Why",
        message="because",
        resolved_at=START + timedelta(seconds=60) if closed else None,
        occurrences=occurrences,
    )
    keys = tuple(("shop", f"r{number:03}") for number in range(relays)) if relays > 1 else (ORDERS,)
    return notice_of(incident, keys, "https://books.example/")


def test_a_cloud_event_has_what_the_standard_asks_for_and_the_whole_incident() -> None:
    event = cloud_event(notice(), "ops/operator")
    assert {name: event[name] for name in ("specversion", "id", "source", "type", "subject", "time")} == {
        "specversion": "1.0",
        "id": "PoisonRows-a.1.opened",
        "source": "/apis/outboxrelay.dev/v1alpha1/namespaces/shop/outboxrelays/orders",
        "type": "dev.outboxrelay.incident.opened",
        "subject": "PoisonRows-a",
        "time": "2026-01-01T00:00:05Z",
    }
    assert event["data"] == {
        "id": "PoisonRows-a",
        "type": "PoisonRows",
        "severity": "Warning",
        "state": "Open",
        "summary": "shop/orders: rows that cannot be sent",
        "reason": "Why",
        "message": "because",
        "scope": "",
        "startedAt": "2026-01-01T00:00:00Z",
        "detectedAt": "2026-01-01T00:00:05Z",
        "occurrences": 1,
        "relayCount": 1,
        "relays": [{"namespace": "shop", "name": "orders"}],
        "runbook": "https://books.example/PoisonRows.md",
    }


def test_each_change_of_an_incident_has_an_id_of_its_own_that_is_the_same_when_it_is_told_twice() -> None:
    changes = [notice(), notice(closed=True), notice(occurrences=2), notice(closed=True, occurrences=2)]
    ids = [cloud_event(item, "ops")["id"] for item in changes]
    assert len(set(ids)) == 4
    assert ids == [cloud_event(item, "ops")["id"] for item in changes]
    assert cloud_event(changes[1], "ops")["data"]["resolvedAt"] == "2026-01-01T00:01:00Z"


def test_a_parent_names_the_first_relays_and_counts_all_of_them() -> None:
    shared = notice(relays=200, scope="kafka:9092")
    event = cloud_event(shared, "ops/operator")
    assert event["source"] == "/outbox-relay-operator/ops/operator"
    assert event["data"]["summary"] == "200 relays: brokers do not answer"
    assert event["data"]["relayCount"] == 200
    assert len(event["data"]["relays"]) == 20
    told = alert(shared, START, timedelta(minutes=5))
    assert "namespace" not in told["labels"]
    assert told["annotations"]["relays"].endswith("shop/r019 and 180 more")


def test_the_labels_of_an_alert_stay_the_same_as_long_as_the_incident_lives() -> None:
    now, lasts = START + timedelta(seconds=30), timedelta(minutes=5)
    first, more, over = (
        alert(item, now, lasts)
        for item in (
            notice(relays=2, scope="k:1"),
            notice(relays=9, scope="k:1"),
            notice(relays=9, scope="k:1", closed=True),
        )
    )
    assert first["labels"] == more["labels"] == over["labels"]
    assert first["endsAt"] == "2026-01-01T00:05:30Z"
    assert over["endsAt"] == "2026-01-01T00:01:00Z"
    assert first["annotations"]["runbook_url"] == "https://books.example/BrokerUnavailable.md"


def test_an_alert_never_ends_before_it_starts() -> None:
    quick = notice(closed=True)
    quick = replace(quick, incident=replace(quick.incident, resolved_at=START))
    told = alert(quick, START, timedelta(minutes=5))
    assert told["endsAt"] > told["startsAt"]


def test_who_is_told_once_gets_each_change_once_and_one_at_a_time() -> None:
    box = Outbox()
    box.put(notice("a"), 0)
    box.put(notice("b"), 0)
    first = box.due(0)
    assert [entry.notice.id for entry in first] == ["PoisonRows-a"]
    box.sent(first, 0)
    box.sent(box.due(0), 0)
    assert box.next_due() is None
    box.adopt(notice("a"), 1)
    box.renew(notice("a"), 1)
    assert box.next_due() is None


def test_who_forgets_is_told_again_until_it_is_over() -> None:
    box = Outbox(repeat=60)
    box.put(notice("a"), 0)
    box.adopt(notice("b"), 0)
    box.sent(box.due(0), 0)
    assert (box.due(59), len(box.due(60))) == ((), 2)
    box.put(notice("a", closed=True), 61)
    box.sent(box.due(61), 61)
    assert [entry.notice.id for entry in box.due(1000)] == ["PoisonRows-b"]


def test_a_change_that_waits_is_replaced_by_the_next_one_of_the_same_incident() -> None:
    box = Outbox()
    box.put(notice("a"), 0, wait=3)
    assert box.due(2) == ()
    box.put(notice("a", closed=True), 2)
    (entry,) = box.due(2)
    assert entry.notice.state == "resolved"


def test_what_changes_while_it_is_sent_is_sent_once_more() -> None:
    box = Outbox()
    box.put(notice("a"), 0)
    batch = box.due(0)
    box.put(notice("a", closed=True), 1)
    box.sent(batch, 2)
    assert [entry.notice.state for entry in box.due(2)] == ["resolved"]


def test_more_members_are_told_with_the_change_and_make_no_new_one() -> None:
    box = Outbox()
    box.put(notice("a", relays=2, scope="k:1"), 0, wait=3)
    box.renew(notice("a", relays=200, scope="k:1"), 1)
    (entry,) = box.due(3)
    assert len(entry.notice.relays) == 200
    box.sent((entry,), 3)
    box.renew(notice("a", relays=201, scope="k:1"), 4)
    assert box.next_due() is None


def test_while_members_join_it_is_not_told_yet_but_never_waits_for_more_than_ten_seconds() -> None:
    box = Outbox()
    box.put(notice("a", relays=2, scope="k:1"), 0, wait=3)
    for second in range(1, 10):
        box.renew(notice("a", relays=10 * second, scope="k:1"), second, wait=3)
        assert box.due(second) == ()
    assert len(box.due(10)[0].notice.relays) == 90


def test_who_joins_what_is_told_again_and_again_changes_nothing_of_when() -> None:
    box = Outbox(repeat=60)
    box.put(notice("a", relays=2, scope="k:1"), 0)
    box.sent(box.due(0), 0)
    box.renew(notice("a", relays=3, scope="k:1"), 5, wait=3)
    assert box.next_due() == 60


def test_what_a_receiver_refuses_goes_behind_the_others_and_is_given_up_in_the_end() -> None:
    box = Outbox()
    box.put(notice("bad"), 0)
    box.put(notice("good"), 0)
    box.refused(box.due(0))
    assert [entry.notice.id for entry in box.due(0)] == ["PoisonRows-good"]
    box.sent(box.due(0), 0)
    for _ in range(MAX_REFUSALS - 1):
        box.refused(box.due(0))
    assert (box.next_due(), box.dropped) == (None, 1)


def test_what_nobody_takes_for_an_hour_is_given_up_unless_it_is_repeated() -> None:
    once, repeated = Outbox(), Outbox(repeat=60)
    for box in (once, repeated):
        box.put(notice("a"), 0)
    assert once.due(3601) == ()
    assert once.dropped == 1
    assert len(repeated.due(3601)) == 1
    repeated.put(notice("a", closed=True), 3601)
    assert repeated.due(7300) == ()


@given(st.lists(st.integers(0, 3000), max_size=50))
def test_a_dead_receiver_costs_a_bounded_amount_of_memory(names: list[int]) -> None:
    box = Outbox(repeat=60)
    for name in range(MAX_ENTRIES):
        box.put(notice(f"x{name}"), 0)
    for name in names:
        box.put(notice(str(name)), 1)
    assert len(box.entries) == MAX_ENTRIES
    assert box.dropped == len(set(names))
