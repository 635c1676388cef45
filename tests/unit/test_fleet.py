"""The rows of outboxrelay top: what is told of a relay, in which order, and what the fleet sums up to."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.fleet import Health, Sort, arranged, chosen, count_display, printable, row_of, totals
from tests.pictures.fleet import bodies

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = [row_of(body) for body in bodies(NOW)]
BY_NAME = {row.name: row for row in ROWS}
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def names(sort: Sort, **options: Any) -> list[str]:
    return [row.name for row in arranged(ROWS, sort, **options)]


def test_a_relay_is_told_by_its_numbers_and_by_the_reason_of_ready() -> None:
    row = BY_NAME["captures"]
    assert (row.namespace, row.health, row.state, row.pods) == (
        "payments",
        Health.FAILING,
        "BrokerUnavailable",
        "3/3/8",
    )
    assert (row.lag, row.backlog, row.delivered, row.arriving) == (185, 34_000, 0, 180)
    assert "no broker answered" in row.message


def test_who_was_paused_or_stopped_by_somebody_does_not_fail() -> None:
    assert {row.name for row in ROWS if row.health is Health.OFF} == {"reviews", "gift-cards"}
    assert {row.name for row in ROWS if row.health is Health.UNKNOWN} == {"risk", "warehouses"}


def test_a_relay_that_is_well_tells_its_worst_incident() -> None:
    assert BY_NAME["stock"].message == "the oldest row waits for 130 s"
    assert BY_NAME["orders"].message == ""


def test_the_worst_come_first_and_who_is_off_last() -> None:
    order = names(Sort.STATE)
    assert order[:3] == ["payouts", "returns", "captures"]
    assert order[8:12] == ["risk", "warehouses", "stock", "catalog-prices-nightly"]
    assert order[-2:] == ["gift-cards", "reviews"]
    assert names(Sort.STATE, reverse=True) == order[::-1]


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (Sort.LAG, ["gift-cards", "reviews", "payouts"]),
        (Sort.BACKLOG, ["fraud-scores", "catalog-prices-nightly", "captures"]),
        (Sort.RATE, ["tracking", "ledger", "catalog-prices-nightly"]),
        (Sort.NAME, ["accounts", "captures", "carriers"]),
        (Sort.INCIDENTS, ["stock", "payouts", "returns"]),
    ],
)
def test_numbers_come_largest_first_and_names_in_order(sort: Sort, first: list[str]) -> None:
    assert names(sort)[:3] == first


@pytest.mark.parametrize("sort", list(Sort))
def test_the_order_does_not_depend_on_how_objects_arrive(sort: Sort) -> None:
    mixed = random.Random(7).sample(ROWS, len(ROWS))
    assert arranged(mixed, sort) == arranged(ROWS, sort)


def test_relays_are_chosen_by_words_and_by_what_fails() -> None:
    assert {row.name for row in chosen(ROWS, text="PAYMENTS broker")} == {"captures", "disputes", "fraud-scores"}
    assert {row.name for row in chosen(ROWS, text="stock_outbox")} == {"stock"}
    assert {row.health for row in chosen(ROWS, failing=True)} == {Health.FAILING, Health.UNKNOWN}
    assert chosen(ROWS, text="nothing has this") == []


def test_the_fleet_is_summed_up_and_a_shared_fault_counts_once() -> None:
    sums = totals(ROWS)
    assert (sums.relays, sums.failing, sums.unknown, sums.off) == (30, 8, 2, 2)
    assert sum(len(row.incidents) for row in ROWS) == sums.incidents + 2
    assert not sums.backlog_exact
    assert totals([]).backlog_exact
    assert sums.backlog == sum(row.backlog or 0 for row in ROWS)


def test_counts_are_short() -> None:
    shown = [count_display(number) for number in (None, 0, 480, 1234, 50_000, 3_400_000, 2_000_000)]
    assert shown == ["-", "0", "480", "1.2k", "50k", "3.4M", "2M"]
    assert count_display(100_000, exact=False) == ">100k"


@given(st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON, "status": JSON}))
def test_whatever_somebody_wrote_there_is_a_row(body: dict[str, Any]) -> None:
    row = row_of(body)
    assert row.health in Health
    assert totals(arranged([row], Sort.LAG)).relays == 1


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    assert printable(text).isprintable()
    assert printable("a\x1b[31mb\nc") == "a [31mb c"
