"""Relays that go before others: circles are found with their path, and what is missing or not ready is named."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.api.names import Reason
from outboxrelay.controller.rollouts import neighbour_of
from outboxrelay.decisions.dependencies import Neighbour, cycle_refusal, cycle_through, waits_for
from tests.support.relay_bodies import relay_body

NAMES = [f"r{number}" for number in range(8)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=8, unique=True))
READY = Neighbour(1, ready=True)


@given(GRAPHS, st.sampled_from(NAMES))
def test_no_graph_hangs_and_what_is_called_a_circle_is_one(graph: dict[str, list[str]], name: str) -> None:
    way = cycle_through(name, graph)
    if way:
        assert way[0] == way[-1] == name
        assert all(after in graph[before] for before, after in pairwise(way))
        assert len(set(way)) == len(way) - 1
    else:
        assert name not in reachable(graph, name)


@given(GRAPHS)
def test_once_every_relay_of_a_circle_is_refused_the_others_can_all_go_one_after_the_other(
    graph: dict[str, list[str]],
) -> None:
    left = {name: [item for item in graph.get(name, []) if not cycle_through(item, graph)] for name in NAMES}
    left = {name: items for name, items in left.items() if not cycle_through(name, graph)}
    done: set[str] = set()
    for _ in range(len(NAMES)):
        done |= {name for name, items in left.items() if set(items) <= done}
    assert done == left.keys()


def test_a_chain_of_ten_thousand_relays_is_no_circle_and_closing_it_makes_it_one() -> None:
    graph = {str(number): [str(number + 1)] for number in range(10_000)}
    assert cycle_through("0", graph) == ()
    assert len(cycle_through("0", graph | {"10000": ["0"]})) == 10_002


def test_the_message_has_the_path_of_the_circle() -> None:
    refusal = cycle_refusal("a", {"a": ["x", "b"], "b": ["c"], "c": ["a"]})
    assert refusal is not None
    assert refusal.reason is Reason.DEPENDENCY_CYCLE
    assert "a -> b -> c -> a" in refusal.message


def test_a_relay_that_names_itself_waits_for_itself() -> None:
    assert cycle_through("a", {"a": ["a"]}) == ("a", "a")


def test_whoever_only_leads_to_a_circle_is_not_part_of_it() -> None:
    assert cycle_refusal("a", {"a": ["b"], "b": ["c"], "c": ["b"]}) is None


def test_what_is_missing_is_told_before_what_is_not_ready() -> None:
    assert waits_for(["a", "b"], {"a": READY, "b": READY}) is None
    hold = waits_for(["a", "b"], {"a": Neighbour(4, ready=False, reason="BrokerUnavailable")})
    assert hold is not None
    assert (hold.reason, "OutboxRelay b" in hold.message) == (Reason.DEPENDENCY_NOT_FOUND, True)
    hold = waits_for(["a"], {"a": Neighbour(4, ready=False, reason="BrokerUnavailable")})
    assert hold is not None
    assert hold.reason is Reason.WAITING_FOR_DEPENDENCY
    assert "OutboxRelay a is Ready at its generation 4 (BrokerUnavailable)" in hold.message


def condition(kind: str, status: str, reason: str, generation: int = 2) -> dict[str, object]:
    return {"type": kind, "status": status, "reason": reason, "observedGeneration": generation}


def neighbour(*conditions: dict[str, object]) -> Neighbour:
    return neighbour_of({**relay_body(generation=2), "status": {"conditions": list(conditions)}})


def test_a_neighbour_is_ready_when_it_is_ready_with_its_newest_spec_and_its_pods_have_it() -> None:
    ready, rolled = condition("Ready", "True", "Idle"), condition("RolledOut", "True", "UpToDate")
    assert neighbour(ready, rolled).ready
    assert not neighbour(condition("Ready", "True", "Idle", generation=1), rolled).ready
    assert not neighbour(condition("Ready", "False", "BrokerUnavailable"), rolled).ready
    assert not neighbour(ready, condition("RolledOut", "False", "RollingOut")).ready
    assert not neighbour().ready


def test_a_neighbour_whose_pods_wait_for_an_upgrade_only_has_its_newest_spec() -> None:
    ready = condition("Ready", "True", "Idle")
    assert neighbour(ready, condition("RolledOut", "False", "WaitingForTurn")).ready
    assert neighbour(ready).ready


def reachable(graph: dict[str, list[str]], name: str) -> set[str]:
    found: set[str] = set()
    edge = set(graph.get(name, []))
    while edge:
        found |= edge
        edge = {target for place in edge for target in graph.get(place, [])} - found
    return found
