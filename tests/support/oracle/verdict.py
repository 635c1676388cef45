"""The judgement: which committed events are missing, repeated, out of order, or were never committed. Pure."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .events import Arrived, Committed

EXAMPLES = 10


class Inversion(NamedTuple):
    """A first arrival behind a later event of its key, or on another partition than its key."""

    event: Arrived
    after: Arrived

    def __str__(self) -> str:
        return f"{self.event} came after {self.after}"


class Latency(NamedTuple):
    """Milliseconds from just before COMMIT to the first arrival at the consumer."""

    p50: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the two logs say together; ``str()`` is the one line."""

    committed: int
    arrived: int
    duplicates: int
    lost: tuple[Committed, ...]
    inversions: tuple[Inversion, ...]
    phantoms: tuple[Arrived, ...]
    """Arrived but never committed: rolled back, altered on the way, or not of this run."""
    waiting: int = 0
    """Not arrived, and allowed to."""
    latency: Latency | None = None

    @property
    def passed(self) -> bool:
        """Nothing lost, inverted or invented. Duplicates are allowed."""
        return not (self.lost or self.inversions or self.phantoms)

    @property
    def exit_code(self) -> int:
        """0 when passed."""
        return 0 if self.passed else 1

    def __str__(self) -> str:
        counts = (
            f"committed {self.committed:,}, arrived {self.arrived:,}, lost {len(self.lost):,}, "
            f"duplicates {self.duplicates:,}, inversions {len(self.inversions):,}, phantoms {len(self.phantoms):,}"
        )
        waiting = f", waiting {self.waiting:,}" if self.waiting else ""
        latency = f", latency p50 {self.latency.p50:.0f} ms p99 {self.latency.p99:.0f} ms" if self.latency else ""
        return f"oracle: {counts}{waiting}{latency}: {'PASS' if self.passed else 'FAIL'}"

    def report(self) -> str:
        """The one line, then each kind of failure with its first examples."""
        return "\n".join([str(self), *self._examples()])

    def _examples(self) -> Iterator[str]:
        kinds: tuple[tuple[str, Sequence[object]], ...] = (
            ("lost", self.lost),
            ("inverted", self.inversions),
            ("phantom", self.phantoms),
        )
        for name, found in kinds:
            yield from (f"  {name}: {example}" for example in found[:EXAMPLES])
            if len(found) > EXAMPLES:
                yield f"  {name}: and {len(found) - EXAMPLES:,} more"


def verdict(committed: Iterable[Committed], arrived: Iterable[Arrived], may_wait: Collection[str] = ()) -> Verdict:
    """Compare what was committed with what arrived.

    ``arrived`` is in the order of the offsets within each partition. ``may_wait`` are ids of events that need
    not have arrived (yet), such as those behind a row that is held; if they do arrive, they count as usual.
    """
    known = {event.event_id: event for event in committed}
    firsts = _Firsts(known)
    total = 0
    for record in arrived:
        total += 1
        firsts.take(record)
    missing = [event for event_id, event in known.items() if event_id not in firsts.seen]
    lost = tuple(event for event in missing if event.event_id not in may_wait)
    return Verdict(
        committed=len(known),
        arrived=total,
        duplicates=firsts.duplicates,
        lost=lost,
        inversions=tuple(firsts.inversions),
        phantoms=tuple(firsts.phantoms),
        waiting=len(missing) - len(lost),
        latency=_latency(firsts.delays),
    )


@dataclass(slots=True)
class _Firsts:
    """Follows first arrivals: repeats are dropped before the order is looked at."""

    known: dict[str, Committed]
    seen: set[str] = field(default_factory=set)
    latest: dict[str, Arrived] = field(default_factory=dict)
    """Per key: the first arrival with the highest number so far."""
    offsets: dict[int, int] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    inversions: list[Inversion] = field(default_factory=list)
    phantoms: list[Arrived] = field(default_factory=list)
    duplicates: int = 0

    def take(self, record: Arrived) -> None:
        if record.offset <= self.offsets.get(record.partition, -1):
            raise ValueError(f"the log of arrivals is not in order: {record}")
        self.offsets[record.partition] = record.offset
        event = self.known.get(record.event_id)
        if event is None or not _is_same(event, record):
            self.phantoms.append(record)
        elif record.event_id in self.seen:
            self.duplicates += 1
        else:
            self.seen.add(record.event_id)
            self._follow(event, record)

    def _follow(self, event: Committed, record: Arrived) -> None:
        if event.committed_at is not None:
            self.delays.append(record.arrived_at - event.committed_at)
        if record.key is None:
            return
        latest = self.latest.get(record.key)
        if latest is None:
            self.latest[record.key] = record
        elif record.number < latest.number or record.partition != latest.partition:
            self.inversions.append(Inversion(record, latest))
        else:
            self.latest[record.key] = record


def _is_same(event: Committed, record: Arrived) -> bool:
    same_row = record.row_id is None or record.row_id == event.row_id
    return same_row and record.key == event.key and record.number == event.number


def _latency(delays: list[float]) -> Latency | None:
    if not delays:
        return None
    delays.sort()
    return Latency(_percentile(delays, 0.5), _percentile(delays, 0.99), delays[-1] * 1000)


def _percentile(ascending: list[float], share: float) -> float:
    """Nearest rank, in milliseconds."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] * 1000
