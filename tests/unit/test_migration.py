"""What of the how-to is run as a migration, and how what both senders sent is told apart and compared."""

import json

import pytest

from tests.migration import page, sightings
from tests.migration.run import Change, Findings
from tests.migration.sightings import Sighting
from tests.support.oracle import verdict

DEBEZIUM, RELAY = frozenset({"id", "eventType"}), frozenset({"id", "eventType", "type", "sequence"})


def record(number: int, headers: frozenset[str] = DEBEZIUM, key: str = "k", at: float = 0.0, **other: str) -> Sighting:
    value = json.dumps({"key": key, "number": number, **other}).encode()
    return Sighting(f"{key}-{number}", key, value, "Placed", ord(key) % 2, headers, at)


def findings(*seen: Sighting, changes: int = 1, left: int = 0, slots: tuple[str, ...] = ()) -> Findings:
    made = [Change(1.0, 2.0, 3.0)] * changes
    return Findings(list(seen), verdict([], []), made, rows_when_quiet=2, left=left, slots=list(slots), loads=[1.0])


GOOD = (record(1), record(2), record(2, RELAY), record(3, RELAY))


@pytest.mark.parametrize("part", page.STATEMENTS)
def test_each_statement_of_the_how_to_that_is_run_is_in_it_once(part: str) -> None:
    assert part in page.statement(part)


def test_the_statements_are_run_in_the_order_of_the_page() -> None:
    text = page.PAGE.read_text()
    places = [text.index(page.statement(part)) for part in page.STATEMENTS]
    assert places == sorted(places)


def test_a_statement_that_is_not_in_the_how_to_is_complained_about() -> None:
    with pytest.raises(LookupError, match="has 0 SQL blocks"):
        page.statement("TRUNCATE outbox")


def test_the_relay_of_the_how_to_is_paused_and_sends_the_header_that_debezium_sent() -> None:
    spec = page.manifest()["spec"]
    assert spec["state"] == "Paused"
    assert {"name": "eventType", "column": "type"} in spec["target"]["headers"]


def test_senders_take_turns_in_each_partition() -> None:
    seen = [record(1), record(1, key="j"), record(2, RELAY), record(2, RELAY, key="j"), record(3)]
    with pytest.raises(ValueError, match="turns by partition: 3, 2"):
        sightings.turns(seen)
    turns = sightings.turns([*seen, record(3, key="j")])
    assert [[one.event_id for one in turn] for turn in turns] == [["k-1", "j-1"], ["k-2", "j-2"], ["k-3", "j-3"]]


def test_what_an_earlier_turn_sent_is_a_repeat_and_the_gap_between_turns_a_silence() -> None:
    turns = sightings.turns([record(1, at=1.0), record(2, at=2.0), record(2, RELAY, at=4.5), record(3, RELAY, at=5.0)])
    assert (sightings.repeats(turns, 0), sightings.repeats(turns, 1), sightings.silence(turns, 1)) == (0, 1, 2.5)


def test_a_turn_that_goes_back_in_its_key_or_repeats_itself_is_out_of_order() -> None:
    assert sightings.disorder([record(1), record(1, key="j"), record(2)]) == []
    assert [one.event_id for one in sightings.disorder([record(2), record(1), record(1)])] == ["k-1", "k-1"]


def test_a_good_switch_has_no_problems() -> None:
    assert findings(*GOOD).problems() == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (findings(*GOOD, changes=2), "must take 4 turns"),
        (findings(record(1, RELAY), record(1)), "one after the other"),
        (findings(record(1), record(2), record(2, RELAY), record(1, RELAY)), "out of order or twice"),
        (findings(record(1), record(1, RELAY, odd="x")), "not the same from both"),
        (findings(record(1), record(2, RELAY)), "nothing was compared"),
        (findings(*GOOD, left=3), "3 rows, 0 replication slots"),
        (findings(*GOOD, slots=("idle",)), "0 rows, 1 replication slots"),
    ],
)
def test_whatever_is_not_as_promised_is_a_problem(found: Findings, words: str) -> None:
    assert [problem for problem in found.problems() if words in problem] != []
