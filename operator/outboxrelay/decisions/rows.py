"""An outbox row as it travels, and what a read asks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

RowId = int | str
"""What the id column holds: an integer, or the text of a uuid."""

NarrowRow = tuple[RowId, str, str | None, str | None, str | bytes | None, int | None, int | None]
Tail = tuple[str | None, str | None, int | None, list[str | None] | None]
WideRow = tuple[
    RowId,
    str,
    str | None,
    str | None,
    str | bytes | None,
    int | None,
    int | None,
    str | None,
    str | None,
    int | None,
    list[str | None] | None,
]
Row = NarrowRow | WideRow
"""A tuple, because there are many, and without the tail where a spec needs none of it:

0 row id, 1 event id, 2 key, 3 type, 4 payload, 5 time in ms since 1970,
6 size of payload and headers in bytes (None: the payload is NULL; a size without a payload: more than
MAX_PAYLOAD_BYTES, so they were not read);
the tail: 7 headers (a JSON object), 8 topic (None: the same for all rows), 9 partition (None: by the key),
10 values of the traceparent column and of target.headers' columns (None: none are configured).
"""

ROW_ID: Final = 0
EVENT_ID: Final = 1
KEY: Final = 2
PAYLOAD: Final = 4
SIZE: Final = 6
NARROW: Final = 7
"""Fields of a row without a tail."""
NO_TAIL: Final[Tail] = (None, None, None, None)


def tail_of(row: Row) -> Tail:
    """Headers, topic, partition and extras."""
    if len(row) == NARROW:
        return NO_TAIL
    _, _, _, _, _, _, _, headers, topic, partition, extras = row
    return headers, topic, partition, extras


def topic_of(row: Row) -> str | None:
    """The topic that the row names."""
    return tail_of(row)[1]


MAX_PAYLOAD_BYTES: Final = 32 * 1024 * 1024
"""A larger payload is not read from the database: it would need several times its size in memory."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One read of the table."""

    limit: int
    floor: int | None
    """The lowest id to read, beside ``gaps``; None: read all."""
    shards: tuple[int, ...] | None
    """Shards to read; None reads all of them without asking for the shard of a row."""
    in_flight: Sequence[RowId]
    """Rows that are already on their way."""
    held_keys: Collection[str]
    held_rows: Collection[RowId]
    """Rows without a key that are held."""
    gaps: Sequence[tuple[int, int]] = ()
    """Ranges below the floor, from their lowest to their highest id, that are read in the same snapshot."""
    blocked_topics: Collection[str] = ()
    """Topics whose rows wait; only where rows name their topic."""
