"""Rows of one read, on their way."""

from collections.abc import Iterable
from dataclasses import dataclass

from outboxrelay.decisions.rows import KEY, ROW_ID, SIZE, Row, RowId


@dataclass(slots=True)
class Batch:
    """What one read found."""

    rows: list[Row]
    ids: list[RowId]
    ticket: int
    full: bool
    """Whether the read was cut by its limit, so that more waits in the table."""
    size: int
    """Bytes of keys and values."""


def ids_of(rows: Iterable[Row]) -> list[RowId]:
    """Row ids, in order."""
    return [row[ROW_ID] for row in rows]


def size_of(rows: Iterable[Row]) -> int:
    """Bytes of keys and values. One pass without a call per row: it runs for every row that is delivered."""
    return sum([(row[SIZE] or 0) + len(row[KEY] or "") for row in rows])
