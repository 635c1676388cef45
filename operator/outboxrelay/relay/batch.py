"""Rows of one read, on their way."""

from dataclasses import dataclass

from outboxrelay.decisions.rows import KEY, PAYLOAD, ROW_ID, Row


@dataclass(slots=True)
class Batch:
    """What one read found."""

    rows: list[Row]
    ids: list[int]
    ticket: int
    full: bool
    """Whether the read was cut by its limit, so that more waits in the table."""


def size_of(row: Row) -> int:
    """Bytes of key and value."""
    return _bytes(row[KEY]) + _bytes(row[PAYLOAD])


def ids_of(rows: list[Row]) -> list[int]:
    """Row ids, in order."""
    return [row[ROW_ID] for row in rows]


def _bytes(value: str | bytes | None) -> int:
    if value is None:
        return 0
    return len(value.encode()) if isinstance(value, str) and not value.isascii() else len(value)
