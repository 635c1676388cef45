"""What both ends of the oracle speak of: an event that was committed, and a record that arrived.

Named tuples, not models: a run holds hundreds of thousands of them.
"""

import json
from typing import NamedTuple

UNREADABLE = -1
"""Number of a record whose value the oracle did not write."""


class Committed(NamedTuple):
    """One row whose transaction the database confirmed."""

    key: str | None
    number: int
    """Ascends per key in the order of the commits."""
    event_id: str
    row_id: int
    committed_at: float | None = None
    """Unix time just before COMMIT was sent; None where latency means nothing (bulk writes)."""

    def __str__(self) -> str:
        return f"key {self.key} number {self.number} row {self.row_id} event {self.event_id}"


class Arrived(NamedTuple):
    """One record as the consumer read it."""

    key: str | None
    number: int
    event_id: str
    row_id: int | None
    """The header `sequence`; None where there is none."""
    partition: int
    offset: int
    arrived_at: float = 0.0

    def __str__(self) -> str:
        place = f"partition {self.partition} offset {self.offset}"
        return f"key {self.key} number {self.number} row {self.row_id} event {self.event_id} {place}"


def payload(key: str | None, number: int, filler: str) -> str:
    """The JSON text of an event; bulk writes build the same text in SQL."""
    return json.dumps({"key": key, "number": number, "filler": filler})


def number_in(value: bytes | None, key: str | None) -> int:
    """The number that an event's value carries; UNREADABLE when the value is not that of an event of ``key``."""
    if value is None:
        return UNREADABLE
    try:
        found = json.loads(value)
    except ValueError:
        return UNREADABLE
    if not isinstance(found, dict) or found.get("key") != key:
        return UNREADABLE
    number = found.get("number")
    return number if isinstance(number, int) else UNREADABLE
