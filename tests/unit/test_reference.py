"""What is generated in docs/ is what the models, the commands and the examples say now."""

from enum import StrEnum
from pathlib import Path

import pytest

from outboxrelay.api.names import REASONS, Condition, Reason
from tests.reference.conditions import OF_ROWS
from tests.reference.docstrings import docstrings
from tests.reference.pages import pages, with_sections

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_generated_page_is_what_would_be_generated_now(page: Path) -> None:
    assert page.read_text() == PAGES[page], "run: make reference"


def test_every_reason_belongs_to_a_condition_or_to_a_row() -> None:
    assert set(REASONS) == set(Condition)
    told = {reason for reasons in REASONS.values() for reason in reasons} | set(OF_ROWS)
    assert told == set(Reason)


def test_every_condition_and_every_reason_says_what_it_means() -> None:
    for kind in (Condition, Reason):
        assert set(docstrings(kind)) == set(kind)


def test_a_member_without_a_docstring_is_noticed() -> None:
    with pytest.raises(KeyError, match="second"):
        docstrings(Half)


class Half(StrEnum):
    """One of two says what it means."""

    FIRST = "first"
    """It does."""
    SECOND = "second"


def test_a_page_that_lost_its_marks_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(SystemExit, match=r"page\.md has no section"):
        with_sections(page, [("name", "body")])
