"""One row of each key in flight: a batch is sent in rounds, each with at most one row of a key."""

from collections.abc import Sequence

from outboxrelay.decisions.rows import KEY, Row


def rounds(rows: Sequence[Row]) -> list[list[Row]]:
    """``rows`` in rounds, in their order: the n-th row of a key in the n-th, rows without a key in the first."""
    found: list[list[Row]] = []
    seen: dict[str, int] = {}
    for row in rows:
        key = row[KEY]
        number = 0 if key is None else seen.get(key, 0)
        if key is not None:
            seen[key] = number + 1
        if number == len(found):
            found.append([])
        found[number].append(row)
    return found
