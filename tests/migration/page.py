"""What the how-to says, read from the page itself: its statements and its manifest are what is run, not copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.fences import blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path("docs/how-to/migrate-from-debezium.md")

NUMBER = "ADD COLUMN seq"
NOTE = "CREATE TABLE outbox_sent "
PASSED = "confirmed_flush_lsn >= lsn"
FORGET = "DELETE FROM outbox USING"
END = "pg_drop_replication_slot"
STATEMENTS = (NUMBER, NOTE, PASSED, FORGET, END)
"""A part of each SQL block of the page, in its order."""


def statement(part: str) -> str:
    """The one SQL block that has ``part`` in it; raises LookupError where the page has none, or two."""
    found = [text for text in _blocks("sql") if part in text]
    if len(found) != 1:
        raise LookupError(f"{PAGE} has {len(found)} SQL blocks with {part!r}; it must have one")
    return found[0]


def manifest() -> dict[str, Any]:
    """The OutboxRelay of the page, which is paused."""
    (text,) = _blocks("yaml")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _blocks(language: str) -> Iterator[str]:
    return (block.text for block in blocks_of(PAGE) if block.language == language)
