"""The order of things that come one after the other, where somebody may have declared a circle."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
Followers = Mapping[Node, Iterable[Node]]
"""What comes after each; whatever is named there is a key too."""


def circles_in_order(followers: Followers[Node]) -> list[list[Node]]:
    """Every node, what comes before others first; nodes that come before each other stand together.

    Time and memory grow with nodes and edges, and nothing recurses, whatever the graph (Kosaraju's two walks).
    """
    before: dict[Node, list[Node]] = {node: [] for node in followers}
    for node, others in followers.items():
        for other in others:
            before[other].append(node)
    seen: set[Node] = set()
    left = [node for start in followers for node in _walk(start, followers, seen)]
    seen.clear()
    walks = [list(_walk(start, before, seen)) for start in reversed(left)]
    return [walk for walk in walks if walk]


def circle_in(nodes: Iterable[Node], followers: Followers[Node]) -> list[Node]:
    """A shortest way from the first of ``nodes`` back to it that leaves none of them out of ``nodes``; or nothing."""
    inside = list(nodes)
    allowed, start = set(inside), inside[0]
    came_from: dict[Node, Node] = {}
    queue = [start]
    for node in queue:
        for other in followers[node]:
            if other == start:
                way = [node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if other in allowed and other not in came_from:
                came_from[other] = node
                queue.append(other)
    return []


def connected(followers: Followers[Node]) -> list[list[Node]]:
    """Nodes in the groups that edges in either direction join, each in the order in which it was given."""
    both: dict[Node, list[Node]] = {node: [] for node in followers}
    for node, others in followers.items():
        for other in others:
            both[node].append(other)
            both[other].append(node)
    seen: set[Node] = set()
    groups = [set(_walk(start, both, seen)) for start in both]
    place = {node: number for number, group in enumerate(groups) for node in group}
    result: list[list[Node]] = [[] for _ in groups]
    for node in both:
        result[place[node]].append(node)
    return [group for group in result if group]


def _walk(start: Node, edges: Followers[Node], seen: set[Node]) -> list[Node]:
    """What can be reached from ``start`` and was not seen, in the order in which a walk in depth leaves it."""
    if start in seen:
        return []
    seen.add(start)
    left: list[Node] = []
    path = [(start, iter(edges[start]))]
    while path:
        node, rest = path[-1]
        other = next((item for item in rest if item not in seen), None)
        if other is None:
            left.append(node)
            path.pop()
        else:
            seen.add(other)
            path.append((other, iter(edges[other])))
    return left
