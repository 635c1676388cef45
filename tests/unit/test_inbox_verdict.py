"""What the runs of the whole pipe are judged by, and what they do."""

import pytest

from tests.chaos.inbox.plan import FAULTS, plan_of
from tests.chaos.inbox.verdict import Effect, Judged, judged

COMMITTED = {"a1": ("a", 1), "a2": ("a", 2), "b1": ("b", 1)}
A1, A2, B1 = Effect("a1", "a", 1), Effect("a2", "a", 2), Effect("b1", "b", 1)

CASES = {
    "all is well": ([A1, B1, A2], Judged(3, 0, 0, 0, 0)),
    "one is lost": ([A1, B1], Judged(3, 1, 0, 0, 0)),
    "one is processed twice": ([A1, A1, A2, B1], Judged(3, 0, 1, 0, 0)),
    "an old one is processed again": ([A1, A2, A1, B1], Judged(3, 0, 1, 0, 0)),
    "one overtakes": ([A2, A1, B1], Judged(3, 0, 0, 1, 0)),
    "one was never committed": ([A1, A2, B1, Effect("c1", "c", 1)], Judged(3, 0, 0, 0, 1)),
    "one has another number": ([A1, Effect("a2", "a", 3), B1], Judged(3, 1, 0, 0, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_each_way_of_being_wrong_is_counted(case: str) -> None:
    effects, wanted = CASES[case]
    found = judged(COMMITTED, effects)
    assert found == wanted
    assert found.passed == (case == "all is well")


def test_a_seed_is_one_plan_and_some_seeds_have_every_fault() -> None:
    plans = [plan_of(seed) for seed in range(30)]
    assert plans == [plan_of(seed) for seed in range(30)]
    assert {step.fault for plan in plans for step in plan.steps} == set(FAULTS)
    assert all({"consumer_killed", "relay_killed", "copies"} <= {step.fault for step in plan.steps} for plan in plans)
