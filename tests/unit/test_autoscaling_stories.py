"""The autoscaler over virtual time: whole stories with a plant that has limits of its own."""

from dataclasses import replace
from itertools import pairwise

import pytest

from outboxrelay.api.names import Reason
from tests.support.plant import PERIOD, Plant, policy


def steady(_now: int) -> float:
    return 300.0


def reasons(plant: Plant, begun: int, ended: int) -> set[str]:
    return {decision.reason for decision in plant.decisions if begun <= decision.at < ended}


def asked(plant: Plant, now: int) -> int:
    """Pods that are asked for at ``now``."""
    return next(number for at, number in reversed(plant.history) if at <= now)


@pytest.mark.parametrize(("replicas", "noise"), [(1, 0.0), (2, 0.0), (3, 0.05), (5, 0.05), (8, 0.05)])
def test_300_rows_a_second_with_100_for_each_pod_settle_at_five_pods_without_flapping(
    replicas: int, noise: float
) -> None:
    plant = Plant(steady, replicas=replicas, noise=noise).run(7200)
    assert plant.steps()[-1] == 5
    assert plant.turns() == 0
    assert plant.backlog == 0


def test_a_leap_from_50_to_800_rows_a_second_is_followed_in_steps_of_3_6_12_and_back_in_small_ones() -> None:
    plant = Plant(lambda now: 800.0 if 300 <= now < 2000 else 50.0).run(4000)
    up, down = [n for at, n in plant.history if at < 2000], [n for at, n in plant.history if at >= 2000]
    assert up == [1, 3, 6, 12]
    assert down == [10, 8, 6, 5, 4, 3, 2, 1]
    assert plant.turns() == 1


def test_steps_up_are_15_seconds_apart_at_least_and_steps_down_60() -> None:
    plant = Plant(lambda now: 800.0 if 300 <= now < 2000 else 50.0).run(4000)
    for (sooner, before), (later, after) in zip(plant.history[1:], plant.history[2:], strict=False):
        assert later - sooner >= (15 if after > before else 60)


def test_brokers_that_are_down_for_ten_minutes_change_nothing_then_and_for_120_seconds_after() -> None:
    plant = Plant(steady, replicas=5, down=lambda now: 600 <= now < 1200).run(3000)
    assert {asked(plant, now) for now in range(1320)} == {5}
    assert reasons(plant, 600, 1200) == {Reason.TARGET_DOWN}
    assert reasons(plant, 1200, 1320) == {Reason.RECOVERY_RAMP}
    # Then the backlog of ten minutes is worked off, and the pods for it are taken away again.
    assert max(plant.steps()) == 12
    assert plant.steps()[-1] == 5
    assert plant.turns() == 1


def test_a_database_that_gives_250_of_600_rows_a_second_sees_one_step_up_which_is_reverted_and_blocked() -> None:
    plant = Plant(lambda _now: 600.0, replicas=3, database=250.0).run(600)
    [(_, first), (raised, second), (reverted, third)] = plant.history
    assert (first, second, third) == (3, 6, 3)
    assert reverted - raised == 45
    assert reasons(plant, reverted, 600) == {Reason.INEFFECTIVE}
    assert plant.state.block.until == reverted + 600


@pytest.mark.parametrize("start_seconds", [3, 4, 5, 8, 10])
def test_a_pod_that_starts_with_late_rows_behind_a_bounded_database_is_one_again_after_one_step_up(
    start_seconds: int,
) -> None:
    plant = Plant(lambda _now: 0.0, 1500.0, 400.0, start_seconds, fresh=True, backlog=150_000, backlog_age=100).run(200)
    assert plant.steps() == [1, 3, 1]
    assert reasons(plant, plant.history[-1][0], 200) == {Reason.INEFFECTIVE}


@pytest.mark.parametrize("idle", [296, 297, 298, 299])
def test_the_first_seconds_of_a_backlog_are_no_measure_of_what_an_idle_pod_could_deliver(idle: int) -> None:
    plant = Plant(lambda _now: 0.0, 1500.0, 400.0, start_seconds=3).run(idle)
    plant.state = replace(plant.state, capacity=400.0)
    plant.backlog = 100_000.0
    plant.run(150)
    assert plant.steps() == [1, 3, 1]


def test_a_step_that_never_helps_is_tried_again_after_10_20_40_and_then_60_minutes() -> None:
    plant = Plant(lambda _now: 600.0, replicas=3, database=250.0).run(5 * 3600)
    raised = [at for (_, before), (at, after) in zip(plant.history, plant.history[1:], strict=False) if after > before]
    waits = [later - sooner - 45 for sooner, later in pairwise(raised)]
    assert waits[:5] == [600, 1200, 2400, 3600, 3600]
    assert max(plant.steps()) == 6


def test_a_database_that_gives_more_again_ends_the_series_of_blocks() -> None:
    plant = Plant(lambda _now: 600.0, replicas=3, database=250.0).run(600)
    assert plant.state.block.times == 1
    plant.database = float("inf")
    plant.run(1300)
    assert plant.state.block.times == 0
    assert max(plant.steps()) > 6


def test_rows_that_no_pod_can_deliver_do_not_drive_the_number_of_pods() -> None:
    plant = Plant(lambda _now: 20.0, unreadable=50_000, errors="rows wait for topic orders.dead").run(3600)
    assert plant.steps() == [1]
    assert reasons(plant, 60, 3600) == {Reason.NO_PROGRESS}


def test_a_backlog_that_does_not_move_brings_no_pods() -> None:
    plant = Plant(lambda _now: 50.0, per_pod=0.0).run(900)
    assert plant.steps() == [1]
    assert reasons(plant, 60, 900) == {Reason.NO_PROGRESS}


def test_pods_that_never_become_ready_are_taken_back() -> None:
    plant = Plant(lambda _now: 600.0, replicas=3, unstartable=True).run(300)
    assert plant.steps() == [3, 6, 3]
    assert "did not become ready" in " ".join(decision.message for decision in plant.decisions)
    assert plant.state.block.times == 1


def test_a_relay_that_may_sleep_does_so_after_idle_seconds_and_the_first_row_wakes_it() -> None:
    rules = policy(minimum=0, idle_seconds=600.0)
    plant = Plant(lambda now: 10.0 if now < 100 or now > 2000 else 0.0, rules=rules).run(2100)
    asleep, awake = plant.history[1:]
    assert (asleep[1], awake[1]) == (0, 1)
    assert 100 + 600 <= asleep[0] <= 100 + 600 + 15 + PERIOD
    assert awake[0] - 2000 <= PERIOD + 1
    assert plant.backlog < 200


def test_without_permission_to_sleep_one_pod_stays() -> None:
    assert Plant(lambda _now: 0.0).run(7200).steps() == [1]


def test_more_than_allowed_is_said_and_not_asked_for() -> None:
    plant = Plant(lambda _now: 900.0, rules=policy(maximum=4)).run(600)
    assert max(plant.steps()) == 4
    assert plant.decisions[-1].reason == Reason.AT_MAXIMUM
    assert "scaling.maxReplicas 12" in plant.decisions[-1].message


def test_connections_bound_the_pods_and_are_named_where_they_do() -> None:
    rules = policy(maximum=4, maximum_from="source.database.maxConnections 16")
    plant = Plant(lambda _now: 900.0, rules=rules).run(600)
    assert max(plant.steps()) == 4
    assert plant.decisions[-1].reason == Reason.BUDGET_EXHAUSTED
