"""The oracle must see what is wrong: each kind of failure is fed to it and must be named."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.oracle import Arrived, Committed, Verdict, verdict
from tests.support.oracle.events import UNREADABLE, number_in, payload


def committed(key: str | None, number: int, at: float | None = None) -> Committed:
    return Committed(key, number, event_id=f"{key}#{number}", row_id=1000 + number, committed_at=at)


def arrivals(*events: Committed, partition: int = 0, first_offset: int = 0, at: float = 0.0) -> list[Arrived]:
    return [
        Arrived(event.key, event.number, event.event_id, event.row_id, partition, first_offset + n, at)
        for n, event in enumerate(events)
    ]


A1, A2, A3, A4 = (committed("a", n) for n in (1, 2, 3, 4))
B1, B2 = (committed("b", n) for n in (1, 2))


def test_all_that_was_committed_and_arrived_in_order_passes() -> None:
    result = verdict([A1, B1, A2, B2], arrivals(A1, B1, A2, B2))
    assert (result.passed, result.exit_code) == (True, 0)
    assert str(result) == "oracle: committed 4, arrived 4, lost 0, duplicates 0, inversions 0, phantoms 0: PASS"


def test_nothing_committed_and_nothing_arrived_passes() -> None:
    assert verdict([], []).passed


def test_a_lost_event_fails_and_is_named() -> None:
    result = verdict([A1, A2, A3], arrivals(A1, A3))
    assert (result.passed, result.exit_code, result.lost) == (False, 1, (A2,))
    assert "lost 1" in str(result)
    assert str(result).endswith(": FAIL")
    assert "  lost: key a number 2 row 1002 event a#2" in result.report().splitlines()


def test_a_duplicate_is_counted_and_passes() -> None:
    result = verdict([A1, A2], arrivals(A1, A2, A1, A2, A2))
    assert result.passed
    assert (result.arrived, result.duplicates) == (5, 3)


def test_repeats_of_a_run_after_a_restart_are_no_inversion() -> None:
    assert verdict([A1, A2, A3], arrivals(A1, A2, A1, A2, A3)).inversions == ()


def test_an_inversion_fails_and_names_both_events_with_partition_and_offset() -> None:
    result = verdict([A1, A2, A3], arrivals(A1, A3, A2, first_offset=70))
    assert (result.passed, len(result.inversions)) == (False, 1)
    assert (
        "  inverted: key a number 2 row 1002 event a#2 partition 0 offset 72"
        " came after key a number 3 row 1003 event a#3 partition 0 offset 71"
    ) in result.report().splitlines()


def test_an_inversion_hidden_behind_a_duplicate_is_seen() -> None:
    """The second arrival of 2 sits where it belongs; the first did not."""
    result = verdict([A1, A2, A3], arrivals(A1, A3, A2, A3))
    assert (len(result.inversions), result.duplicates) == (1, 1)
    assert result.inversions[0].event.offset == 2


def test_every_event_behind_a_later_one_counts_as_an_inversion() -> None:
    assert len(verdict([A1, A2, A3, A4], arrivals(A4, A1, A2, A3)).inversions) == 3


def test_order_between_keys_does_not_matter() -> None:
    assert verdict([A1, B1, A2, B2], arrivals(B1, B2, A1, A2)).passed


def test_a_key_that_moves_to_another_partition_has_no_order_any_more() -> None:
    result = verdict([A1, A2], [*arrivals(A1), *arrivals(A2, partition=1)])
    assert len(result.inversions) == 1
    assert not result.passed


def test_events_without_a_key_have_no_order() -> None:
    first, second = committed(None, 1), committed(None, 2)
    assert verdict([first, second], arrivals(second, first)).passed


def test_a_rolled_back_event_that_arrives_is_a_phantom_and_is_named() -> None:
    result = verdict([A1], arrivals(A1, A2))
    assert (result.passed, len(result.phantoms)) == (False, 1)
    assert "  phantom: key a number 2 row 1002 event a#2 partition 0 offset 1" in result.report().splitlines()


def test_a_phantom_is_kept_out_of_the_order() -> None:
    assert verdict([A1, A2], arrivals(A1, A4, A2)).inversions == ()


@pytest.mark.parametrize(
    "altered", [{"key": "b"}, {"number": 7}, {"number": UNREADABLE}, {"row_id": 1}], ids=lambda change: str(change)
)
def test_an_event_altered_on_the_way_is_a_phantom_and_the_true_one_is_lost(altered: dict[str, Any]) -> None:
    (record,) = arrivals(A1)
    result = verdict([A1], [record._replace(**altered)])
    assert (result.lost, len(result.phantoms), result.duplicates) == ((A1,), 1, 0)


def test_a_relay_that_sends_no_sequence_header_is_judged_without_it() -> None:
    (record,) = arrivals(A1)
    assert verdict([A1], [record._replace(row_id=None)]).passed


def test_events_behind_a_held_row_may_wait_but_count_when_they_come() -> None:
    ids = {A2.event_id, A3.event_id}
    result = verdict([A1, A2, A3, A4], arrivals(A1, A4, A3), may_wait=ids)
    assert (result.waiting, result.lost, len(result.inversions)) == (1, (), 1)
    assert "waiting 1" in str(result)


def test_latency_is_that_of_first_arrivals_whose_commit_was_timed() -> None:
    events = [committed("a", n, at=100.0) for n in range(1, 101)]
    records = [record._replace(arrived_at=100 + record.number / 1000) for record in arrivals(*events, *events[:3], B1)]
    records[100:103] = [record._replace(arrived_at=900.0) for record in records[100:103]]
    latency = verdict([*events, B1], records).latency
    assert latency is not None
    assert [round(value) for value in latency] == [50, 99, 100]


def test_the_line_of_a_large_run_reads_well() -> None:
    result = Verdict(50_000, 50_012, 12, lost=(), inversions=(), phantoms=(), latency=None)
    assert str(result).startswith("oracle: committed 50,000, arrived 50,012, lost 0, duplicates 12,")


def test_a_report_stops_after_ten_examples_and_says_how_many_more() -> None:
    lines = verdict([committed("a", n) for n in range(25)], []).report().splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  lost: and 15 more"


def test_a_log_of_arrivals_that_is_not_in_order_is_refused() -> None:
    first, second = arrivals(A1, A2)
    with pytest.raises(ValueError, match="not in order"):
        verdict([A1, A2], [second, first])


def test_the_number_survives_the_payload_and_nothing_else_is_taken_for_one() -> None:
    assert number_in(payload("a", 7, "xx").encode(), "a") == 7
    values = (None, b"", b"\xff", b"[]", b"{}", b'{"key":"a","number":"7"}', payload("b", 7, "").encode())
    assert {number_in(value, "a") for value in values} == {UNREADABLE}


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_random_runs_are_judged_as_by_the_plain_definition(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    pool = [committed(f"k{key}", number) for key in range(3) for number in range(1, 6)]
    done = [event for event in pool if chance.random() < 0.8]
    sent = [chance.choice(pool) for _ in range(chance.randrange(25))]
    offsets = itertools.count()
    records = [
        record._replace(partition=chance.randrange(2) if chance.random() < 0.1 else 0, offset=next(offsets))
        for record in arrivals(*sent)
    ]
    result = verdict(done, records)
    ids = {event.event_id for event in done}
    assert {event.event_id for event in result.lost} == ids - {record.event_id for record in records}
    assert [record for record in records if record.event_id not in ids] == list(result.phantoms)
    firsts = plain_firsts([record for record in records if record.event_id in ids])
    assert result.duplicates == len(records) - len(result.phantoms) - len(firsts)
    assert [inversion.event for inversion in result.inversions] == plain_inversions(firsts)


def plain_firsts(records: list[Arrived]) -> list[Arrived]:
    return [r for n, r in enumerate(records) if all(r.event_id != earlier.event_id for earlier in records[:n])]


def plain_inversions(firsts: list[Arrived]) -> list[Arrived]:
    """Behind a later event of its key, or on another partition than the first event of its key."""
    found = []
    for n, record in enumerate(firsts):
        same_key = [earlier for earlier in firsts[:n] if earlier.key == record.key]
        strayed = bool(same_key) and same_key[0].partition != record.partition
        if strayed or any(r.number > record.number and r.partition == same_key[0].partition for r in same_key):
            found.append(record)
    return found
