"""Rows of one read, on their way."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from outboxrelay.decisions.rows import KEY, ROW_ID, SIZE, Row, RowId

T = TypeVar("T")


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

    def take_out(self, ids: Collection[RowId]) -> list[Row]:
        """Those of its rows that ``ids`` name, which are no part of it any more. Few among many cost little."""
        places = self._places(ids)
        out = [self.rows[place] for place in places]
        if out:
            self.rows, self.ids = _without(self.rows, places), _without(self.ids, places)
            self.size -= size_of(out)
        return out

    def _places(self, ids: Collection[RowId]) -> list[int]:
        """Where the rows are that ``ids`` name, ascending. Numbers ascend as they are read, texts need not."""
        if self.ids and isinstance(self.ids[0], int):
            numbers = cast("list[int]", self.ids)
            found = [(bisect_left(numbers, row_id), row_id) for row_id in cast("Collection[int]", ids)]
            places = sorted(place for place, row_id in found if place < len(numbers) and numbers[place] == row_id)
            # A row that stays by mistake would count as delivered: whatever was not found is looked for everywhere.
            if len(places) == len(ids):
                return places
        return [place for place, row_id in enumerate(self.ids) if row_id in ids]


def _without(items: list[T], places: Sequence[int]) -> list[T]:
    """Copied piece by piece, because a look at each item is what takes time."""
    left: list[T] = []
    begin = 0
    for place in places:
        left += items[begin:place]
        begin = place + 1
    return left + items[begin:]


def ids_of(rows: Iterable[Row]) -> list[RowId]:
    """Row ids, in order."""
    return [row[ROW_ID] for row in rows]


def size_of(rows: Iterable[Row]) -> int:
    """Bytes of keys and values. One pass without a call per row: it runs for every row that is delivered."""
    return sum([(row[SIZE] or 0) + len(row[KEY] or "") for row in rows])
