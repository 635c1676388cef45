"""The front: the highest id that was read, and the gaps below it, ranges in which ids were not all read.

Where one process reads all shards and nothing that it read stays in the table, a read need not pass again what was
delivered: it takes what is behind the front, and what appeared in a gap, in one snapshot, lowest ids first. So a row
that commits late is found as soon as by a read from the floor, but dead rows are passed only in gaps, which are few:
ids that other transactions have drawn and not committed yet, and those of transactions that were rolled back.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_GAPS = 400
"""More of them are told as fewer and wider ones."""

Range = tuple[int, int]
"""Lowest and highest id."""


@dataclass(frozen=True, slots=True)
class Front:
    """Every pending id up to ``highest`` that is in no gap was read."""

    highest: int
    gaps: tuple[Range, ...]
    """Ascending and apart."""
    exact: bool = True
    """Whether no id in a gap was read."""


def first_front(known: Iterable[int], start: int) -> Front | None:
    """The front after a read of everything from ``start`` on, which is complete up to its last row.

    ``known`` are the ids that it gave and those that it left out because they are on their way. None: there are none.
    """
    ids = sorted(set(known))
    if not ids:
        return None
    low = [(start, ids[0] - 1)] if start < ids[0] else []
    return _bounded(ids[-1], [*low, *_between(ids)], exact=True)


def next_front(front: Front, ids: Sequence[int], start: int) -> Front | None:
    """The front after a read that gave ``ids``, ascending; nothing is pending below ``start``.

    The read looked into every gap and was complete up to the last of ``ids``. None: an id came that was read before, so
    that the front is not to be trusted.
    """
    old = bisect_right(ids, front.highest)
    gaps = list(front.gaps)
    if old:
        gaps, filled = [], 0
        for low, high in front.gaps:
            inside = ids[bisect_left(ids, low) : bisect_right(ids, high)]
            filled += len(inside)
            gaps += _between([low - 1, *inside, high + 1]) if inside else [(low, high)]
        if filled < old:
            return None
    if old < len(ids):
        gaps += _between([front.highest, *ids[old:]])
    kept = [(max(low, start), high) for low, high in gaps if high >= start]
    return _bounded(max(front.highest, ids[-1]) if ids else front.highest, kept, exact=front.exact or not kept)


def _between(ids: Sequence[int]) -> list[Range]:
    """The ranges between ids that do not follow each other."""
    if ids[-1] - ids[0] == len(ids) - 1:
        return []
    return [(low + 1, high - 1) for low, high in pairwise(ids) if high - low > 1]


def _bounded(highest: int, gaps: Sequence[Range], *, exact: bool) -> Front:
    """Of too many gaps the lowest become one."""
    if len(gaps) <= MOST_GAPS:
        return Front(highest, tuple(gaps), exact)
    merged = len(gaps) - MOST_GAPS // 2
    return Front(highest, ((gaps[0][0], gaps[merged - 1][1]), *gaps[merged:]), exact=False)
