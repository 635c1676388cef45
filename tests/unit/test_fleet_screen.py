"""What outboxrelay top draws for a size of the terminal, and what keys do to it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.cli.columns import cut, shortened
from outboxrelay.cli.fleet_keys import View, keys, pressed
from outboxrelay.cli.fleet_live import Picture, screen
from outboxrelay.cli.fleet_table import table
from outboxrelay.decisions.fleet import Sort, arranged, row_of
from tests.pictures.fleet import bodies

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = arranged([row_of(body) for body in bodies(NOW)], Sort.STATE)
LONG = replace(ROWS[0], name="catalog-prices-nightly-import-north-america-fallback")
PICTURE = Picture(tuple(ROWS), NOW, "all namespaces")
VIEW = View(Sort.STATE)


def shown(width: int, height: int = 40, view: View = VIEW, picture: Picture = PICTURE) -> list[str]:
    lines = screen(picture, view, NOW, width=width, height=height, namespaces=True)
    assert len(lines) == height
    return [line.plain for line in lines]


def heads(width: int) -> list[str]:
    return shown(width)[2].split()


def test_columns_go_by_what_matters_least_where_the_terminal_is_narrow() -> None:
    whole = ["NAMESPACE", "NAME", "STATE", "LAG", "BACKLOG", "OUT/S", "IN/S", "PODS", "INC", "POISON"]
    assert heads(160) == [*whole, "MESSAGE"]
    assert heads(120) == whole
    assert heads(80) == [name for name in whole if name not in ("IN/S", "PODS", "POISON")]
    assert heads(60) == ["NAME", "STATE", "LAG", "BACKLOG"]
    assert heads(40) == ["NAME", "STATE"]


@given(st.integers(1, 250), st.integers(1, 60), st.integers(0, 40))
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int, first: int) -> None:
    lines = shown(width, height, replace(VIEW, first=first), replace(PICTURE, rows=(*ROWS, LONG)))
    assert max(map(len, lines)) <= width


def test_names_are_shortened_in_the_middle_and_whole_for_scripts() -> None:
    narrow = [line.plain for line in table([LONG], width=60, namespaces=False, wide=False, shown=slice(None))]
    assert re.match(r"catalog-p\S*…\S*fallback ", narrow[1])
    assert max(map(len, narrow)) <= 60
    whole = [line.plain for line in table([LONG], width=None, namespaces=False, wide=True, shown=slice(None))]
    assert LONG.name in whole[1]
    assert LONG.topic in whole[1]
    assert whole[1].endswith(LONG.message)


@given(st.text(min_size=1), st.integers(0, 30))
def test_what_is_shortened_keeps_both_ends_or_its_beginning(text: str, size: int) -> None:
    assert len(shortened(text, size)) == min(len(text), size)
    assert len(cut(text, size)) == min(len(text), size)
    if 3 <= size < len(text):
        assert shortened(text, size)[0] == text[0]
        assert shortened(text, size)[-1] == text[-1]


def test_the_summary_has_the_whole_fleet_also_in_eighty_columns() -> None:
    assert shown(120)[0] == (
        "30 relays  8 failing  2 unknown  2 off  10 incidents (8 critical)  backlog >200k  24k/s out  22k/s in"
    )
    assert shown(80)[0] == "30 relays 8 failing 2 unknown 2 off 10 inc backlog >200k 24k/s out 22k/s in"


def test_while_the_api_server_is_away_the_last_picture_stays_and_says_since_when() -> None:
    away = replace(PICTURE, failed_since=NOW - timedelta(seconds=75), fault="the Kubernetes API does not answer")
    lines = shown(120, picture=away)
    assert lines[1] == (
        "as of 12:00:00 UTC; no news since 11:58:45 (1m15s), trying again: the Kubernetes API does not answer"
    )
    assert lines[2:] == shown(120)[2:]


def test_a_screen_that_is_too_low_scrolls_and_says_where_it_is() -> None:
    lines = shown(120, 14, replace(VIEW, first=500))
    assert lines[-1].startswith("21-30 of 30  q quit")
    assert "gift-cards" in lines[-3]
    assert shown(120, 40)[-1].startswith("q quit")


def test_widths_stay_while_one_scrolls() -> None:
    assert {tuple(shown(110, 8, replace(VIEW, first=first))[2]) for first in range(27)} == {tuple(shown(110, 8)[2])}


def test_colours_tell_what_fails_and_without_them_nothing_is_lost() -> None:
    lines = table(ROWS, width=120, namespaces=True, wide=False, shown=slice(0, 1))
    assert "\x1b[1;31mNoProgress" in lines[1].painted(True)
    assert lines[1].painted(False) == lines[1].plain == re.sub(r"\x1b\[[\d;]*m", "", lines[1].painted(True)).rstrip()


def test_an_empty_fleet_and_a_filter_that_nothing_fits_are_said() -> None:
    assert "no OutboxRelay found" in shown(120, picture=replace(PICTURE, rows=()))
    assert "no relay fits; Esc shows all" in shown(120, view=replace(VIEW, text="nothing"))


def after(typed: str, view: View = VIEW, rows: int = 30, page: int = 10) -> View | None:
    now: View | None = view
    for key in keys(typed.encode())[0]:
        assert now is not None
        now = pressed(now, key, rows=rows, page=page)
    return now


@pytest.mark.parametrize(
    ("typed", "view"),
    [
        ("s", View(Sort.LAG)),
        ("s" * len(Sort), VIEW),
        ("r", View(Sort.STATE, reverse=True)),
        ("f", View(Sort.STATE, failing=True)),
        ("ff", VIEW),
        ("/pay", View(Sort.STATE, text="pay", editing="")),
        ("/pay\r", View(Sort.STATE, text="pay")),
        ("/qs\x7f\n", View(Sort.STATE, text="q")),
        ("/pay\x15x\r", View(Sort.STATE, text="x")),
        ("/pay\r/x\x1b", View(Sort.STATE, text="pay")),
        ("f/pay\r\x1b", VIEW),
        ("\x1b[B\x1bOB\x1b[A", View(Sort.STATE, first=1)),
        ("\x1b[6~", View(Sort.STATE, first=10)),
        (" jk", View(Sort.STATE, first=10)),
        ("\x1b[6~" * 9, View(Sort.STATE, first=20)),
        ("\x1b[5~", VIEW),
        ("\x1b[F", View(Sort.STATE, first=20)),
        ("G\x1b[H", VIEW),
        ("\x1b[200~x\x1b[1;5C", VIEW),
        ("xyz", VIEW),
    ],
)
def test_keys_change_what_is_shown(typed: str, view: View) -> None:
    assert after(typed) == view


@pytest.mark.parametrize("typed", ["q", "sfq", "\x04"])
def test_q_ends_it_and_in_a_filter_it_is_a_letter(typed: str) -> None:
    assert after(typed) is None
    assert after(f"/{typed}\r") is not None


def test_a_filter_takes_no_more_than_a_hundred_characters() -> None:
    view = after("/" + "x" * 500)
    assert view is not None
    assert len(view.text) == 100


@given(st.lists(st.sampled_from(["q", "é", "漢", "\x1b[A", "\x1b[6~", "\x1bOF", "/"])), st.integers(1, 3))
def test_keys_are_the_same_however_a_terminal_cuts_what_it_sends(sent: list[str], size: int) -> None:
    data = "".join(sent).encode()
    rest, found = b"", []
    for at in range(0, len(data), size):
        part = rest + data[at : at + size]
        if part.endswith(b"\x1b"):
            # Terminal waits a moment for what follows an escape.
            rest = part
            continue
        some, rest = keys(part)
        found += some
    assert (found, rest) == (keys(data)[0], b"")


@given(st.binary(max_size=60))
def test_no_bytes_are_an_error(data: bytes) -> None:
    found, rest = keys(data)
    assert len(rest) < 40
    view: View | None = VIEW
    for key in found:
        view = view and pressed(view, key, rows=3, page=2)
