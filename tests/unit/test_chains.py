"""Chains of relays: their order, the stage that holds them up, and what is wrong with how they are declared."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.chains import Chain, chains, depends_on
from outboxrelay.decisions.precedence import circle_in, circles_in_order, connected

WELL = ("True", "Delivering")


def relay(
    name: str,
    *after: str,
    lag: int | None = 1,
    ready: tuple[str, str] = WELL,
    chain: str = "",
    stage: str = "",
    space: str = "shop",
    objective: int = 30,
) -> dict[str, Any]:
    labels = {"outboxrelay.dev/chain": chain} if chain else {}
    labels |= {"outboxrelay.dev/chain-stage": stage} if stage else {}
    condition = {"type": "Ready", "status": ready[0], "reason": ready[1], "message": f"{name} says why"}
    return {
        "metadata": {"namespace": space, "name": name, "labels": labels},
        "spec": {"dependsOn": list(after), "objectives": {"maxLagSeconds": objective}},
        "status": {"conditions": [condition], "backlog": {"rows": 1, "oldestAgeSeconds": lag}},
    }


def one(*bodies: dict[str, Any]) -> Chain:
    (found,) = chains(bodies)
    return found


def stages(chain: Chain) -> list[list[str]]:
    return [[member.name for member in stage] for stage in chain.stages]


def test_a_relay_comes_after_those_that_it_depends_on() -> None:
    chain = one(
        relay("shipping", "payments", "stock"), relay("payments", "orders"), relay("stock", "orders"), relay("orders")
    )
    assert stages(chain) == [["orders"], ["payments", "stock"], ["shipping"]]
    assert (chain.name, chain.namespace, chain.problems) == ("orders → shipping", "shop", ())


def test_links_join_what_comes_right_before_and_after_by_fields_and_by_labels() -> None:
    fed = one(
        relay("shipping", "payments", "stock"), relay("payments", "orders"), relay("stock", "orders"), relay("orders")
    )
    assert set(fed.links) == {
        *(("orders", "payments"), ("orders", "stock")),
        *(("payments", "shipping"), ("stock", "shipping")),
    }
    labelled = one(*(relay(name, chain="c", stage=stage) for name, stage in (("a", "1"), ("b", "1"), ("z", "7"))))
    assert labelled.links == (("a", "z"), ("b", "z"))
    both = one(relay("a", chain="c", stage="1"), relay("b", "a", chain="c", stage="2"))
    assert both.links == (("a", "b"),)
    missing = one(relay("b", "gone"))
    assert missing.links == (("gone", "b"),)


def test_labels_make_a_chain_too_in_the_order_of_their_stage_numbers() -> None:
    chain = one(
        relay("c", chain="checkout", stage="10"),
        relay("a", chain="checkout", stage="2"),
        relay("b", chain="checkout", stage="9"),
    )
    assert (chain.name, stages(chain)) == ("checkout", [["a"], ["b"], ["c"]])


def test_labels_and_dependencies_go_together() -> None:
    chain = one(relay("a", chain="x", stage="1"), relay("b", chain="x", stage="2"), relay("late", "b"))
    assert (chain.name, stages(chain)) == ("x", [["a"], ["b"], ["late"]])


def test_relays_that_nobody_joins_are_no_chain_and_namespaces_stay_apart() -> None:
    assert chains([relay("a"), relay("b")]) == []
    found = chains([relay("a", chain="x"), relay("a", chain="x", space="other")])
    assert [chain.namespace for chain in found] == ["other", "shop"]


def test_the_lag_of_the_whole_is_that_of_the_slowest_way_through() -> None:
    chain = one(relay("a", lag=2), relay("b", "a", lag=7), relay("c", "a", lag=20), relay("d", "b", "c", lag=1))
    assert (chain.lag, chain.lag_known) == (23, True)
    assert not one(relay("a", lag=None), relay("b", "a", lag=7)).lag_known


def test_what_does_not_deliver_holds_a_chain_before_what_is_slow() -> None:
    holder = one(relay("a", lag=900), relay("b", "a", lag=5, ready=("False", "NoProgress"))).holder
    assert holder is not None
    assert (holder.name, holder.why) == ("b", "NotDelivering")
    assert holder.message == "not delivering: NoProgress: b says why"


def test_a_paused_stage_holds_it_too() -> None:
    holder = one(relay("a"), relay("b", "a", ready=("False", "Paused"))).holder
    assert holder is not None
    assert holder.name == "b"


def test_else_the_largest_lag_beyond_its_objective_does_and_the_earlier_of_two() -> None:
    holder = one(relay("a", lag=50), relay("b", "a", lag=130), relay("c", "b", lag=130)).holder
    assert holder is not None
    assert (holder.name, holder.why, holder.message) == (
        "b",
        "LargestLag",
        "the largest lag, 2m10s; its objective is 30s",
    )
    assert one(relay("a", lag=29), relay("b", "a", lag=200, objective=300)).holder is None


def test_a_member_that_is_missing_is_told_with_who_names_it() -> None:
    chain = one(relay("b", "a"))
    assert stages(chain) == [["a"], ["b"]]
    (problem,) = chain.problems
    assert problem.startswith("missing: b depends on a, and namespace shop has no OutboxRelay of that name; create it")
    assert chain.holder is not None
    assert chain.holder.message == "not delivering: NotFound: there is no such OutboxRelay"


def test_a_circle_is_told_as_the_way_around_and_is_one_stage() -> None:
    chain = one(relay("a", "c"), relay("b", "a"), relay("c", "b"), relay("d", "c"))
    assert stages(chain) == [["a", "b", "c"], ["d"]]
    assert chain.problems[0].startswith("circle: a → b → c → a; ")
    assert one(relay("a", "a")).problems[0].startswith("circle: a → a; ")


@pytest.mark.parametrize("stage", ["first", "-1", "1.5", "9" * 30, "²"])
def test_a_stage_that_is_no_number_is_told(stage: str) -> None:
    chain = one(relay("a", chain="x", stage=stage), relay("b", chain="x", stage="2"))
    assert chain.problems == (f"a: label outboxrelay.dev/chain-stage is {stage!r}; give a whole number",)


def test_a_labelled_relay_without_a_place_is_told() -> None:
    chain = one(relay("a", chain="x"), relay("b", chain="x", stage="1"), relay("c", chain="x", stage="2"))
    assert chain.problems == ("a: it has no place; add label outboxrelay.dev/chain-stage, or spec.dependsOn",)


@pytest.mark.parametrize("listed", [None, "orders", 5, {}, [None, 3, {"x": 1}, ""]])
def test_what_is_no_list_of_names_is_none(listed: object) -> None:
    assert depends_on({"dependsOn": listed}) == ()


def test_names_may_be_texts_or_objects_with_a_name() -> None:
    assert depends_on({"dependsOn": ["a", {"name": "b"}, "a"]}) == ("a", "b")


GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=6), min_size=size, max_size=size)
)


@given(GRAPHS)
def test_any_graph_is_ordered_and_nothing_is_lost_or_twice(graph: list[list[int]]) -> None:
    followers = dict(enumerate(graph))
    circles = circles_in_order(followers)
    place = {node: number for number, circle in enumerate(circles) for node in circle}
    assert sorted(node for circle in circles for node in circle) == list(followers)
    assert all(place[node] <= place[other] for node, others in followers.items() for other in others)
    reached = {node: _reached(node, followers) for node in followers}
    for node in followers:
        mates = [other for other in followers if other == node or (other in reached[node] and node in reached[other])]
        assert sorted(circles[place[node]]) == mates
    for circle in circles:
        way = circle_in(circle, followers)
        assert bool(way) == (len(circle) > 1 or circle[0] in followers[circle[0]])
        assert all(other in followers[node] for node, other in zip(way, [*way[1:], *way[:1]], strict=True))


@given(GRAPHS)
def test_groups_are_what_edges_join(graph: list[list[int]]) -> None:
    followers = dict(enumerate(graph))
    groups = connected(followers)
    place = {node: number for number, group in enumerate(groups) for node in group}
    assert sorted(place) == list(followers)
    assert all(place[node] == place[other] for node, others in followers.items() for other in others)
    both = {
        node: [*others, *(key for key in followers if node in followers[key])] for node, others in followers.items()
    }
    assert all({*group} == _reached(group[0], both) | {group[0]} for group in groups)


@given(
    GRAPHS,
    st.lists(st.sampled_from(["", "x", "y"]), min_size=12),
    st.lists(st.sampled_from(["", "1", "2", "z"]), min_size=12),
)
def test_any_fleet_has_its_chains_told(graph: list[list[int]], labels: list[str], numbers: list[str]) -> None:
    bodies = [
        relay(f"r{at}", *(f"r{other + 1}" for other in after), chain=labels[at], stage=numbers[at])
        for at, after in enumerate(graph)
    ]
    found = chains(bodies)
    members = [member.name for chain in found for member in chain.members]
    assert len(members) == len(set(members))
    for chain in found:
        assert all(chain.stages)
        assert chain.lag >= max(member.lag or 0 for member in chain.members)


def test_thousands_of_relays_in_one_line_or_in_one_circle_take_no_recursion() -> None:
    line = [relay("r0"), *(relay(f"r{at}", f"r{at - 1}") for at in range(1, 3000))]
    assert len(one(*line).stages) == 3000
    assert len(one(relay("r0", "r2999"), *line[1:]).stages) == 1


def _reached(start: int, edges: dict[int, list[int]]) -> set[int]:
    seen: set[int] = set()
    todo = list(edges[start])
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += edges[node]
    return seen
