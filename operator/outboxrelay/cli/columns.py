"""Tables for terminals: which columns a width has room for, and how what is too long is shortened. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
LEAST_TEXT = 24
"""A sentence of which less than that would be left is left out."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    head: str
    keep: int
    """Where there is no room, the column with the largest number goes first."""
    number: bool = False
    """Numbers stand to the right."""
    least: int = 0
    """Characters that are left at least of what may be shortened in the middle; 0: it is shown whole."""
    sentence: bool = False
    """The last column, which may be cut at its end."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns that fit, by their place in the table, and the width of each."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]


def layout(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None) -> Layout:
    """What of ``columns`` fits into ``width`` characters with these cells; None: as wide as they are."""
    natural = [max([len(column.head), *(len(row[at]) for row in cells)]) for at, column in enumerate(columns)]
    kept = list(range(len(columns)))
    if width is None:
        return Layout(tuple(kept), tuple(natural))
    while len(kept) > 1 and _least(columns, natural, kept) > width:
        kept.remove(max(kept, key=lambda at: columns[at].keep))
    sizes = {at: _least_of(columns[at], natural[at]) for at in kept}
    spare = width - _least(columns, natural, kept)
    # What lacks least is whole first: one long name does not shorten every state.
    for at in sorted(kept, key=lambda at: natural[at] - sizes[at]):
        more = min(natural[at] - sizes[at], max(0, spare))
        sizes[at] += more
        spare -= more
    return Layout(tuple(kept), tuple(sizes.values()))


def lines(columns: Sequence[Column], cells: Sequence[Sequence[str]], fit: Layout) -> list[list[str]]:
    """The head and the rows, each as its cells in their width; a line is their sum with ``GAP`` blanks between."""
    table = [[column.head for column in columns], *cells]
    return [[_cell(columns[at], row[at], size) for at, size in zip(*_pair(fit), strict=True)] for row in table]


def shortened(text: str, size: int) -> str:
    """``text`` in ``size`` characters, without its middle: names differ at their ends."""
    if len(text) <= size:
        return text
    if size < 3:
        return text[:size]
    tail = (size - 1) // 2
    return f"{text[: size - 1 - tail]}…{text[-tail:]}"


def cut(text: str, size: int) -> str:
    """``text`` in ``size`` characters, without its end."""
    return text if len(text) <= size else f"{text[: max(0, size - 1)]}…"[:size]


def _pair(fit: Layout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return fit.columns, fit.widths


def _least(columns: Sequence[Column], natural: Sequence[int], kept: Sequence[int]) -> int:
    return sum(_least_of(columns[at], natural[at]) for at in kept) + GAP * (len(kept) - 1)


def _least_of(column: Column, natural: int) -> int:
    if column.sentence:
        return min(natural, LEAST_TEXT)
    return min(natural, max(column.least, len(column.head))) if column.least else natural


def _cell(column: Column, text: str, size: int) -> str:
    if column.number:
        return shortened(text, size).rjust(size)
    return (cut if column.sentence else shortened)(text, size).ljust(size)
