"""Every fault of the chaos runs once, on the real servers: make chaos-relay does the same many times and at random."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.broker import Broker
from tests.chaos.plan import FAULTS, Plan, Setting, Step
from tests.chaos.postgres_pair import Pair
from tests.chaos.run import run

pytestmark = pytest.mark.needs_services

SETTING = Setting(
    members=2,
    shards=8,
    mode="PerKey",
    in_flight_per_key="Batch",
    visibility="Committed",
    after_delivery="Delete",
    poison="Quarantine",
    doorbell=True,
    batch_size=200,
    keys=50,
    rows_per_second=200,
)
NEAR_THE_RELAY = (
    Step(0.5, "poison_rows", 0.0, 1),
    Step(0.5, "burst", 0.0, 0),
    Step(1.0, "relay_killed", 1.0, 0),
    Step(1.5, "relay_joins", 0.0, 0),
    Step(3.0, "network_cut", 4.0, 1),
    Step(3.5, "late_commits", 0.0, 0),
    Step(4.0, "network_slow", 3.0, 2),
    Step(5.0, "relay_frozen", 3.0, 2),
    Step(6.0, "relay_leaves", 0.0, 1),
)
AT_THE_SERVERS = (
    Step(0.5, "sessions_ended", 0.0, 0),
    Step(1.0, "postgres_restarted", 0.0, 0),
    Step(2.0, "broker_killed", 1.0, 0),
    Step(2.5, "postgres_frozen", 2.0, 0),
    Step(3.0, "broker_frozen", 2.0, 0),
    Step(4.0, "postgres_crashed", 0.5, 0),
    Step(5.0, "standby_promoted", 1.0, 1),
    Step(6.0, "broker_restarted", 0.0, 0),
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as a user of its own
        with Pair(Path(name)) as found:
            yield found


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


def test_no_kind_of_fault_is_left_out() -> None:
    assert {step.fault for step in (*NEAR_THE_RELAY, *AT_THE_SERVERS)} == set(FAULTS)


@pytest.mark.parametrize("steps", [NEAR_THE_RELAY, AT_THE_SERVERS], ids=["near-the-relay", "at-the-servers"])
async def test_nothing_is_lost_or_inverted_and_everything_recovers(
    steps: tuple[Step, ...], pair: Pair, broker: Broker, tmp_path: Path
) -> None:
    result = await run(Plan(1, SETTING, steps), pair, broker, tmp_path)
    print(result)
    assert result.passed, f"{result.verdict.report()}\n{result.problems}"
