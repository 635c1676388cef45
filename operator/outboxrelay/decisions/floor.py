"""The floor: an id below which nothing is pending, so that reads skip the dead tuples of what was delivered.

Only a hint. It must never hide a row whose transaction is still open, or a later row of the same key would overtake
it. So a candidate passes three gates, each of which is a fact that the database told:

1. a read saw ``low``, the lowest unsettled id (or one more than the highest id seen). Every smaller id had been drawn
   from the sequence by then.
2. SETTLE_SECONDS later, who writes to the table, and a snapshot's xmax: whoever had drawn such an id is among them, and
   has a transaction id below it, by now.
3. none of those writes to the table any more, or a snapshot's xmin has reached that xmax: each of them has ended.

The next read that begins after that, still from the old floor, shows all of their rows; the floor becomes the lower of
``low`` and what that read shows. Ids drawn long before their transaction writes (pools) escape gate 2: for them the
table is swept without a floor every few seconds.
"""

from dataclasses import dataclass, replace

SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """pg_current_snapshot(): every transaction below xmin has ended, none from xmax on had begun."""

    xmin: int
    xmax: int
    writers: frozenset[str]
    """Open transactions that have locked the table to write to it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds the oldest transaction open."""

    description: str
    """For people: pid, user, application, state."""
    seconds: float | None
    """Age of the transaction; None where this role may not see it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An id that may become the floor."""

    low: int
    seen_at: float
    xmax: int | None = None
    """Known after gate 2."""
    writers: frozenset[str] = frozenset()
    """The same."""
    clear: bool = False
    """Whether gate 3 is passed."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What is known; the start value knows nothing."""

    value: int | None = None
    highest: int | None = None
    """The highest id ever seen."""
    candidate: Candidate | None = None


def after_snapshot(floor: Floor, snapshot: Snapshot, now: float) -> Floor:
    """The floor after ``snapshot`` was taken at ``now``."""
    candidate = floor.candidate
    if candidate is None or candidate.clear:
        return floor
    if candidate.xmax is None:
        if now - candidate.seen_at < SETTLE_SECONDS:
            return floor
        candidate = replace(candidate, xmax=snapshot.xmax, writers=snapshot.writers)
    ended = candidate.writers.isdisjoint(snapshot.writers)
    if candidate.xmax is not None and (ended or snapshot.xmin >= candidate.xmax):
        candidate = replace(candidate, clear=True)
    return replace(floor, candidate=candidate)


def after_read(floor: Floor, lowest: int | None, highest: int | None, begun: float) -> Floor:
    """The floor after a read from it that began at ``begun``.

    ``lowest`` is the lowest id that is pending (rows in flight included), None when nothing is; ``highest`` the
    highest id of the read.
    """
    seen = max((value for value in (floor.highest, highest) if value is not None), default=None)
    low = lowest if lowest is not None else (None if seen is None else seen + 1)
    if lowest is not None and floor.value is not None and lowest < floor.value:
        # Something appeared below it: what the gates rest on does not hold here. Learn anew, the highest id included,
        # because a sequence that began again stays far below it.
        return Floor(highest=highest)
    candidate, value = floor.candidate, floor.value
    if candidate is not None and candidate.clear and low is not None:
        value = max(min(candidate.low, low), value if value is not None else min(candidate.low, low))
        candidate = None
    if candidate is None and low is not None and (value is None or low > value):
        candidate = Candidate(low=low, seen_at=begun)
    return Floor(value=value, highest=seen, candidate=candidate)


def lowered(floor: Floor, row_id: int) -> Floor:
    """The floor after a row that was left out of reads from now on takes part again."""
    value = None if floor.value is None else min(floor.value, row_id)
    return replace(floor, value=value, candidate=None)
