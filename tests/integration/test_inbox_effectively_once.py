"""From outbox_publish to an inbox: each event is processed once. `make chaos-inbox` does the same many times."""

from pathlib import Path

import pytest

from tests.chaos.inbox.plan import FAULTS, Plan, Step
from tests.chaos.inbox.run import run

pytestmark = pytest.mark.needs_services

STEPS = (
    Step(1.0, "copies", 0.0, 1),
    Step(1.5, "consumer_killed", 0.0, 0),
    Step(2.5, "relay_killed", 0.0, 0),
    Step(3.0, "sessions_ended", 0.0, 0),
    Step(4.0, "consumer_frozen", 2.0, 1),
    Step(5.0, "copies", 0.0, 2),
    Step(6.0, "consumer_restarted", 0.0, 1),
    Step(7.0, "consumer_killed", 0.0, 1),
)


def test_no_kind_of_fault_is_left_out() -> None:
    assert {step.fault for step in STEPS} == set(FAULTS)


@pytest.mark.parametrize("strategy", ["range,roundrobin", "cooperative-sticky"])
async def test_each_event_is_processed_once_and_in_order_while_everything_is_killed(
    strategy: str, tmp_path: Path
) -> None:
    plan = Plan(1, consumers=2, keys=20, rows_per_second=100, static=True, strategy=strategy, steps=STEPS)
    result = await run(plan, tmp_path)
    print(result)
    assert result.passed, result.problems
    assert result.repeats >= 20, "nothing was repeated, so nothing was shown"
