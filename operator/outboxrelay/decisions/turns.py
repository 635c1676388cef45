"""Which of the relays that are due are looked at next: critical ones first, and no namespace at the cost of others."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from outboxrelay.decisions.blindness import Key


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many relays are looked at side by side."""

    workers: int
    """All together."""
    reserved: int
    """Of those, only for critical relays."""
    per_namespace: int
    """Of one namespace, in each of the two lanes."""


def lanes_of(workers: int) -> Lanes:
    """A quarter is kept for critical relays, and one namespace never has more than a quarter in a lane."""
    return Lanes(workers, workers // 4, max(1, workers // 4))


def next_turns(
    due: Iterable[tuple[float, Key]], running: Collection[Key], is_critical: Callable[[Key], bool], lanes: Lanes
) -> list[Key]:
    """Keys to start now, of ``due`` (since when, key), beside those that run.

    Within a lane the namespace of which fewest run comes first, then who has waited longest.
    """
    busy = Counter((key[0], is_critical(key)) for key in running)
    free = lanes.workers - len(running)
    if free <= 0:
        return []
    waiting: dict[bool, dict[str, deque[tuple[float, Key]]]] = {True: {}, False: {}}
    for since, key in sorted(due):
        waiting[is_critical(key)].setdefault(key[0], deque()).append((since, key))
    started: list[Key] = []
    for lane, room in ((True, lanes.workers), (False, lanes.workers - lanes.reserved)):
        in_lane = sum(count for (_, critical), count in busy.items() if critical is lane)
        for _ in range(min(room - in_lane, free - len(started))):
            first = min(
                (
                    (busy[namespace, lane], left[0])
                    for namespace, left in waiting[lane].items()
                    if left and busy[namespace, lane] < lanes.per_namespace
                ),
                default=None,
            )
            if first is None:
                break
            _, (_, key) = first
            waiting[lane][key[0]].popleft()
            busy[key[0], lane] += 1
            started.append(key)
    return started
