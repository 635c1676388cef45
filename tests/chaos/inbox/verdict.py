"""Whether each committed event was processed exactly once and in order. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Effect(NamedTuple):
    """A row of effects."""

    event_id: str
    key: str
    number: int


class Judged(NamedTuple):
    """Counts of events."""

    committed: int
    lost: int
    twice: int
    inversions: int
    phantoms: int

    @property
    def passed(self) -> bool:
        """Each exactly once, in order, and nothing else."""
        return not (self.lost or self.twice or self.inversions or self.phantoms)


def judged(committed: Mapping[str, tuple[str, int]], effects: Iterable[Effect]) -> Judged:
    """``committed``: event id → key and number. ``effects`` in the order in which they came about."""
    times: Counter[str] = Counter()
    latest: dict[str, int] = {}
    inversions = phantoms = 0
    for effect in effects:
        if committed.get(effect.event_id) != (effect.key, effect.number):
            phantoms += 1
            continue
        times[effect.event_id] += 1
        inversions += times[effect.event_id] == 1 and effect.number < latest.get(effect.key, 0)
        latest[effect.key] = max(latest.get(effect.key, 0), effect.number)
    return Judged(
        committed=len(committed),
        lost=sum(event not in times for event in committed),
        twice=sum(count > 1 for count in times.values()),
        inversions=inversions,
        phantoms=phantoms,
    )
