"""Upgrades in waves: a bounded number at a time, critical relays last, and a stop where one has come off badly."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.api.incidents import IncidentStatus
from outboxrelay.api.names import Reason
from outboxrelay.controller.clock import timestamp
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import DeploymentFacts
from outboxrelay.decisions.rollouts import (
    BLAME_SECONDS,
    Change,
    Standing,
    Template,
    blamed,
    change_of,
    is_under_way,
    turn,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIVE = Template("old", 3, "secrets")


def key(name: str) -> Key:
    return "shop", name


def ago(seconds: float) -> str:
    return timestamp(NOW - timedelta(seconds=seconds))


def changed(wanted: Template, *, live: Template | None = LIVE, made_here: bool = False, awaited: str = "") -> Change:
    return change_of(live, wanted, has_run=live is None and made_here, made_here=made_here, awaited=awaited)


def test_pods_that_are_as_wanted_need_nothing_whoever_leads() -> None:
    assert changed(LIVE) is Change.NONE
    assert changed(Template("old", 4, "secrets")) is Change.NONE


def test_the_same_spec_and_secrets_with_other_pods_are_an_upgrade() -> None:
    assert changed(Template("new", 3, "secrets")) is Change.UPGRADE
    assert changed(Template("new", 3, "secrets"), live=Template("", -1, "")) is Change.UPGRADE


def test_whoever_takes_the_operators_note_away_makes_no_upgrade_of_it() -> None:
    assert changed(Template("new", 3, "secrets"), live=Template("", -1, ""), made_here=True) is Change.NONE


def test_a_new_generation_or_other_secrets_are_a_change_that_was_asked_for() -> None:
    assert changed(Template("new", 4, "secrets")) is Change.DECLARED
    assert changed(Template("new", 3, "others")) is Change.DECLARED


def test_scaling_a_relay_that_waits_for_an_upgrade_leaves_it_one() -> None:
    assert changed(Template("new", 4, "secrets"), awaited="new") is Change.UPGRADE


def test_a_first_start_is_one_and_a_deployment_that_was_deleted_is_not() -> None:
    assert changed(LIVE, live=None) is Change.FIRST
    assert changed(LIVE, live=None, made_here=True) is Change.NONE


def test_a_bounded_number_of_relays_gets_new_pods_at_a_time() -> None:
    fleet = {key("a"): Standing(rolling=True), key("b"): Standing(rolling=True), key("c"): Standing(pending=True)}
    hold = turn(key("c"), fleet, at_once=2)
    assert hold is not None
    assert hold.reason is Reason.WAITING_FOR_TURN
    assert turn(key("c"), fleet, at_once=3) is None


def test_critical_relays_wait_for_every_standard_one_that_can_go() -> None:
    vip = Standing(critical=True, pending=True)
    for other in (Standing(pending=True), Standing(rolling=True)):
        hold = turn(key("vip"), {key("vip"): vip, key("b"): other}, at_once=5)
        assert hold is not None
        assert "critical" in hold.message
    assert turn(key("vip"), {key("vip"): vip, key("b"): Standing(pending=True, blocked=True)}, at_once=5) is None


def test_a_new_incident_stops_everybody_but_the_relay_that_has_it() -> None:
    fleet = {key("a"): Standing(incident="RelayCrashLooping"), key("b"): Standing(pending=True)}
    hold = turn(key("b"), fleet, at_once=5)
    assert hold is not None
    assert hold.reason is Reason.UPGRADE_STOPPED
    assert "shop/a has the incident RelayCrashLooping" in hold.message
    assert "outboxrelay.dev/rollout=Proceed" in hold.message


def test_what_a_relay_depends_on_gets_new_pods_before_it_even_where_that_is_critical() -> None:
    fleet = {
        key("vip"): Standing(critical=True, pending=True),
        key("b"): Standing(pending=True, depends_on=(key("vip"),)),
    }
    hold = turn(key("b"), fleet, at_once=5)
    assert hold is not None
    assert hold.reason is Reason.WAITING_FOR_DEPENDENCY
    assert turn(key("vip"), fleet, at_once=5) is None


FLEETS = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=10)


@given(FLEETS, st.integers(1, 4))
def test_every_upgrade_comes_to_its_end_and_never_takes_more_than_its_number(
    shape: list[tuple[bool, list[int]]], at_once: int
) -> None:
    """Relays depend on earlier ones only, so that there is no circle; each looks in turn, again and again."""
    fleet = {
        key(str(number)): Standing(
            critical=critical, pending=True, depends_on=tuple(key(str(item)) for item in set(before) if item < number)
        )
        for number, (critical, before) in enumerate(shape)
    }
    order: list[Key] = []
    for _ in range(3 * len(fleet)):
        for name in reversed(list(fleet)):
            if fleet[name].pending and turn(name, fleet, at_once) is None:
                order.append(name)
                fleet[name] = Standing(critical=fleet[name].critical, rolling=True, depends_on=fleet[name].depends_on)
        assert sum(item.rolling for item in fleet.values()) <= at_once
        for name, item in fleet.items():
            if item.rolling:
                fleet[name] = Standing(critical=item.critical, depends_on=item.depends_on)
    assert sorted(order) == sorted(fleet)
    free = [name for name in order if not any(fleet[other].depends_on for other in fleet)]
    assert [fleet[name].critical for name in free] == sorted(fleet[name].critical for name in free)


def incident(started: str, state: str = "Open", kind: str = "NoProgress") -> IncidentStatus:
    return IncidentStatus.model_validate(
        {
            "id": f"{kind}-{started}",
            "type": kind,
            "severity": "Critical",
            "state": state,
            "startedAt": started,
            "detectedAt": started,
            "reason": "x",
            "message": "y",
            "occurrences": 1,
            "runbook": "z",
        }
    )


def test_only_an_open_incident_that_began_soon_after_the_upgrade_is_put_down_to_it() -> None:
    upgraded = ago(100)
    assert blamed([incident(ago(90))], upgraded) == "NoProgress"
    assert blamed([incident(ago(90), state="Resolved")], upgraded) == ""
    assert blamed([incident(ago(110))], upgraded) == ""
    assert blamed([incident(ago(90))], ago(100 + BLAME_SECONDS)) == ""
    assert blamed([incident(ago(90))], "") == ""


def deployment(*, ready: int = 2, updated: int = 2, progressed: float = 50) -> DeploymentFacts:
    return DeploymentFacts(
        desired=2, replicas=2, ready=ready, updated=updated, settled=True, progressed_at=ago(progressed)
    )


def test_a_relay_is_under_way_until_its_pods_are_ready_and_have_been_watched_for_a_while() -> None:
    assert is_under_way(deployment(updated=1), ago(100), NOW, 30)
    assert is_under_way(deployment(ready=1), ago(100), NOW, 30)
    assert is_under_way(deployment(progressed=20), ago(100), NOW, 30)
    assert not is_under_way(deployment(), ago(100), NOW, 30)
    assert not is_under_way(deployment(), "", NOW, 30)
