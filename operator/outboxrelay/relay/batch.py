"""Rows of one read, on their way."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import compress
from operator import not_

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
    goes_on: bool = False
    """Whether rows of the read that nothing holds were left out: they are to be read again at once."""

    def take_out(self, ids: Container[RowId]) -> list[Row]:
        """Those of its rows that ``ids`` name, which are no part of it any more."""
        stays = [row_id not in ids for row_id in self.ids]
        out = list(compress(self.rows, map(not_, stays)))
        if out:
            self.rows, self.ids = list(compress(self.rows, stays)), list(compress(self.ids, stays))
            self.size -= size_of(out)
        return out


def ids_of(rows: Iterable[Row]) -> list[RowId]:
    """Row ids, in order."""
    return [row[ROW_ID] for row in rows]


def size_of(rows: Iterable[Row]) -> int:
    """Bytes of keys and values. One pass without a call per row: it runs for every row that is delivered."""
    return sum([(row[SIZE] or 0) + len(row[KEY] or "") for row in rows])
