"""What a seed decides, and what the table of many runs says."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import report
from tests.chaos.faults import ACTS
from tests.chaos.plan import CHAOS_SECONDS, FAULTS, LENGTHS, plan_of
from tests.chaos.run import Result
from tests.support.oracle import Committed
from tests.support.oracle.verdict import Verdict, verdict


def test_every_kind_of_fault_can_be_done() -> None:
    assert set(ACTS) == set(FAULTS)
    assert set(LENGTHS) <= set(FAULTS)


@given(st.integers(0, 10**9))
def test_a_seed_is_one_plan_whose_faults_fit_its_setting(seed: int) -> None:
    plan = plan_of(seed)
    assert plan == plan_of(seed)
    assert 6 <= len(plan.steps) <= 11
    assert all(0 < step.at <= CHAOS_SECONDS for step in plan.steps)
    assert [step.at for step in plan.steps] == sorted(step.at for step in plan.steps)
    if plan.setting.mode != "PerKey":
        assert "poison_rows" not in {step.fault for step in plan.steps}, "there a poison row holds all others"
    if plan.setting.mode == "Strict":
        assert plan.setting.shards == 1


def test_a_hundred_runs_have_every_fault_many_times_and_every_setting() -> None:
    plans = [plan_of(seed) for seed in range(100)]
    happened = Counter(step.fault for plan in plans for step in plan.steps)
    assert min(happened[kind] for kind in FAULTS) >= 20, happened
    settings = [plan.setting for plan in plans]
    assert {setting.mode for setting in settings} == {"PerKey", "Strict", "None"}
    assert {setting.poison for setting in settings} == {"HoldKey", "Quarantine", "DeadLetterTopic"}
    assert {setting.after_delivery for setting in settings} == {"Delete", "Mark", "Archive"}


def result(seed: int, judged: Verdict, *problems: str) -> Result:
    plan = plan_of(seed)
    faults = Counter(step.fault for step in plan.steps)
    return Result(plan, judged, problems, faults, recovery=3.25, seconds=30.0)


def test_the_table_adds_up_and_counts_a_run_as_failed_for_a_problem_beside_the_verdict() -> None:
    lost = [Committed("k", 1, "event-1", 1)]
    results = [result(1, verdict([], [])), result(2, verdict(lost, [])), result(30, verdict([], []), "a relay ended")]
    figures = report.summary([report.record_of(item) for item in results])
    assert (figures["runs"], figures["failed_runs"], figures["lost"]) == (3, 2, 1)
    assert figures["seeds"] == "1 to 2, 30 to 30"
    assert sum(figures["faults"].values()) == sum(len(item.plan.steps) for item in results)
    assert "| **Lost** | **1** |" in report.markdown(figures)
    for kind, name in FAULTS.items():
        assert name in report.table(figures), kind
