"""Relays that go before others: whether they are there and ready, and whether they wait for each other in a circle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outboxrelay.api.names import Reason
from outboxrelay.decisions.facts import Hold, Verdict

Graph = Mapping[str, Sequence[str]]
"""Names that each relay of a namespace depends on."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A relay that another one depends on, as its status tells."""

    generation: int
    ready: bool
    """Whether it is Ready with its newest spec, and its pods have it."""
    reason: str = ""
    """Why not."""


def cycle_through(name: str, graph: Graph) -> tuple[str, ...]:
    """The shortest way from ``name`` along dependencies back to itself, both ends included; empty where there is none.

    Names that are not in the graph lead nowhere.
    """
    came_from: dict[str, str] = {}
    edge = [name]
    while edge:
        following: list[str] = []
        for place in edge:
            for target in graph.get(place, ()):
                if target == name:
                    return _way(name, place, came_from)
                if target not in came_from:
                    came_from[target] = place
                    following.append(target)
        edge = following
    return ()


def cycle_refusal(name: str, graph: Graph) -> Verdict | None:
    """The verdict on a relay that waits for itself."""
    way = cycle_through(name, graph)
    if not way:
        return None
    path = " -> ".join(way)
    message = f"spec.dependsOn leads in a circle: {path}; remove one of these (pods that run are left alone)"
    return Verdict(Reason.DEPENDENCY_CYCLE, message)


def waits_for(depends_on: Sequence[str], neighbours: Mapping[str, Neighbour]) -> Hold | None:
    """What new pods wait for: the first relay that is missing, then the first that is not ready."""
    for name in depends_on:
        if name not in neighbours:
            message = f"new pods wait: spec.dependsOn names OutboxRelay {name}, which does not exist in this namespace"
            return Hold(Reason.DEPENDENCY_NOT_FOUND, message)
    for name in depends_on:
        found = neighbours[name]
        if not found.ready:
            why = f" ({found.reason})" if found.reason else ""
            message = f"new pods wait until OutboxRelay {name} is Ready at its generation {found.generation}{why}"
            return Hold(Reason.WAITING_FOR_DEPENDENCY, message)
    return None


def _way(name: str, last: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    way = [name]
    while last != name:
        way.append(last)
        last = came_from[last]
    return (name, *reversed(way))
