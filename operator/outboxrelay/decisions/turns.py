"""Which of the relays that are due are looked at next: critical ones first, and no namespace at the cost of others."""

from collections import Counter
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
    waiting = [(since, key, is_critical(key)) for since, key in due]
    busy = Counter((key[0], is_critical(key)) for key in running)
    started: list[Key] = []
    for lane, room in ((True, lanes.workers), (False, lanes.workers - lanes.reserved)):
        left = sorted((since, key) for since, key, critical in waiting if critical is lane)
        while left and len(running) + len(started) < lanes.workers:
            in_lane = sum(count for (_, critical), count in busy.items() if critical is lane)
            open_ones = [item for item in left if busy[item[1][0], lane] < lanes.per_namespace]
            if in_lane >= room or not open_ones:
                break
            turn = min(open_ones, key=lambda item: (busy[item[1][0], lane], item))
            left.remove(turn)
            busy[turn[1][0], lane] += 1
            started.append(turn[1])
    return started
