"""An outbox row as it travels, and what a read asks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

Row = tuple[int, str, str | None, str | None, str | bytes | None, str | None, int | None]
"""row id, event id, key, type, payload, headers (a JSON object), time in ms. A tuple, because there are many."""

ROW_ID: Final = 0
KEY: Final = 2
EVENT_ID: Final = 1
PAYLOAD: Final = 4


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One read of the table."""

    limit: int
    floor: int | None
    shards: tuple[int, ...] | None
    """Shards to read; None reads all of them without asking for the shard of a row."""
    in_flight: Sequence[int]
    """Rows that are already on their way."""
    held_keys: Collection[str]
    held_rows: Collection[int]
    """Rows without a key that are held."""
