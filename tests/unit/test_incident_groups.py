"""Relays that lose the same database or brokers at the same time share one parent incident."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.incidents.group import Parents, adopt, is_shared, join, leave
from outboxrelay.decisions.incidents.reduce import Incident

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def incident(name: str, seconds: float = 0, *, scope: str = "kafka:9092", kind: str = "BrokerUnavailable") -> Incident:
    return Incident(
        id=f"{kind}-{name}",
        type=kind,
        scope=scope,
        severity="Critical",
        started_at=at(seconds),
        detected_at=at(seconds + 5),
        reason="BrokerUnavailable",
        message="no answer",
    )


def key(name: str) -> tuple[str, str]:
    return "shop", name


def joined(
    parents: Parents, name: str, seconds: float, scope: str = "kafka:9092", kind: str = "BrokerUnavailable"
) -> tuple[Parents, str, bool]:
    parents, parent, new = join(parents, key(name), incident(name, seconds, scope=scope, kind=kind), at(seconds + 5))
    return parents, parent.incident.id, new


def test_two_hundred_relays_that_lose_one_broker_within_half_a_minute_have_one_parent() -> None:
    parents, found = Parents(), set[str]()
    news = []
    for number in range(200):
        parents, parent, new = joined(parents, f"r{number}", number * 0.1)
        found.add(parent)
        news.append(new)
    assert len(found) == 1
    assert news == [True] + [False] * 199
    assert len(parents.by_id[found.pop()].members) == 200


def test_another_type_other_hosts_or_another_time_is_another_parent() -> None:
    parents, first, _ = joined(Parents(), "a", 0)
    parents, other_type, _ = joined(parents, "b", 0, kind="BrokerAccessDenied")
    parents, other_hosts, _ = joined(parents, "c", 0, scope="elsewhere:9092")
    parents, later, new = joined(parents, "d", 31)
    assert len({first, other_type, other_hosts, later}) == 4
    assert new


def test_relays_that_name_different_brokers_of_one_cluster_belong_together() -> None:
    parents, first, _ = joined(Parents(), "a", 0, scope="k1:9092,k2:9092")
    _, second, new = joined(parents, "b", 3, scope="k2:9092,k3:9092")
    assert (second, new) == (first, False)


def test_the_parent_ends_with_its_last_child() -> None:
    parents, name, _ = joined(Parents(), "a", 0)
    parents, _, _ = joined(parents, "b", 3)
    children = {child: incident(child) for child in "ab"}
    ended = {}
    for child, item in children.items():
        closed = replace(item, parent=name, resolved_at=at(60))
        parents, parent = leave(parents, key(child), closed, at(70))
        assert parent is not None
        ended[child] = parent.incident.resolved_at
    assert ended == {"a": None, "b": at(60)}


def test_a_child_that_comes_back_opens_its_parent_again_under_the_same_id() -> None:
    parents, name, _ = joined(Parents(), "a", 0)
    closed = replace(incident("a"), parent=name, resolved_at=at(60))
    parents, _ = leave(parents, key("a"), closed, at(70))
    again = replace(incident("a"), parent=name, occurrences=2)
    parents, parent, new = join(parents, key("a"), again, at(200))
    assert (parent.incident.id, parent.incident.occurrences, new) == (name, 2, True)


def test_a_new_leader_finds_the_parents_in_the_status_of_the_children() -> None:
    _parents, name, _ = joined(Parents(), "a", 0)
    found = Parents()
    for child in ("b", "a"):
        item = replace(incident(child, 1 if child == "b" else 0), parent=name)
        found = adopt(found, key(child), [item], at(20))
    assert set(found.by_id) == {name}
    assert len(found.by_id[name].members) == 2
    assert found.by_id[name].incident.started_at == at(0)
    _, _, new = joined(found, "c", 10)
    assert not new


def test_what_is_the_fault_of_one_relay_alone_has_no_parent() -> None:
    assert not is_shared(incident("a", kind="PoisonRows"))
    assert not is_shared(incident("a", scope=""))
    assert is_shared(incident("a"))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 200)), max_size=60))
def test_whoever_joins_and_leaves_a_parent_is_open_exactly_while_it_has_members(steps: list[tuple[str, float]]) -> None:
    parents, inside, clock = Parents(), dict[str, Incident](), 0.0
    for name, wait in steps:
        clock += wait
        if name in inside:
            closed = replace(inside.pop(name), resolved_at=at(clock))
            parents, _ = leave(parents, key(name), closed, at(clock))
        else:
            parents, parent, new = join(parents, key(name), incident(f"{name}{clock}", clock), at(clock))
            inside[name] = replace(incident(f"{name}{clock}", clock), parent=parent.incident.id)
            assert new is (len(parent.members) == 1)
        for parent in parents.by_id.values():
            assert parent.incident.open is bool(parent.members)
        assert {member[0][1] for parent in parents.by_id.values() for member in parent.members} == set(inside)
