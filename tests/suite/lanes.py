"""Which test file runs on which cluster. A lane is a cluster with the files that run on it one after the other.

The rule is fixed: what needs Kubernetes goes to the lanes that have it, the longest first, each to the lane with the
least to do so far; then all other files in the same way to any lane. ``python -m tests.suite --show`` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: dict[str, float] = {
    "test_broken_manifests.py": 22,
    "test_chaos_runs.py": 92,
    "test_connections.py": 40,
    "test_console_port_forward.py": 60,
    "test_controller_on_a_cluster.py": 25,
    "test_credentials_reload.py": 130,
    "test_delivery_under_faults.py": 52,
    "test_deletion.py": 63,
    "test_docs_blocks.py": 25,
    "test_doorbell_contract.py": 20,
    "test_drift.py": 55,
    "test_examples.py": 110,
    "test_first_steps.py": 50,
    "test_flow_on_real_servers.py": 45,
    "test_inbox_effectively_once.py": 40,
    "test_inbox_functions.py": 45,
    "test_incidents_of_a_process.py": 78,
    "test_operator_absence.py": 32,
    "test_oracle_on_real_servers.py": 20,
    "test_outbox_publish.py": 25,
    "test_poison_replay.py": 25,
    "test_quarantine_command.py": 45,
    "test_reasons.py": 95,
    "test_relay_beside_trouble.py": 45,
    "test_relay_doorbell.py": 20,
    "test_relay_payloads_and_poison.py": 25,
    "test_relay_poison_policies.py": 60,
    "test_relay_reasons.py": 70,
    "test_relay_routing.py": 45,
    "test_relay_under_faults.py": 60,
    "test_rollouts.py": 150,
    "test_schema_and_privileges.py": 30,
    "test_tutorial.py": 120,
    "test_upgrade.py": 110,
}
"""What the files take that take long, about; from ``--durations``. It only has to be right enough to share fairly."""
SECONDS_OF_OTHERS: dict[str, float] = {"integration": 6, "e2e": 40}
"""By folder, of a file that is not named above."""
APART = frozenset(
    {
        "test_alerts_of_faults.py",
        "test_autoscaling_on_the_cluster.py",
        "test_parent_incident.py",
        "test_timed_faults.py",
    }
)
"""Minutes of waiting for faults to be noticed and to pass, and for pods to come and go: `make faults`, `make alerts`
and `make scaling` run them, not `make test`."""
HEAD_START = 40
"""Seconds that a lane with Kubernetes begins later than one without: its node starts, and the image is built."""

MEGABYTES = {True: 2500, False: 1200}
"""What a lane needs, with Kubernetes and without."""
_SPARE_MEGABYTES = 1000
_KINDS = (True, True, False, True)


@dataclass(slots=True)
class Lane:
    """A cluster, and what runs on it."""

    number: int
    """From 1."""
    has_kubernetes: bool
    files: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, file: str, seconds: float) -> None:
        """One more."""
        self.files.append(file)
        self.seconds += seconds


def how_many(megabytes: int, cores: int) -> int:
    """The number of lanes for this much free memory and so many processors: one at least.

    What waits takes little of a processor, yet on a machine without any to spare tests with deadlines miss them.
    """
    count = min(len(_KINDS), cores + 1)
    while count > 1 and sum(MEGABYTES[kind] for kind in _KINDS[:count]) + _SPARE_MEGABYTES > megabytes:
        count -= 1
    return count


def divide(files: Mapping[str, bool], count: int, known: Mapping[str, float] = SECONDS) -> list[Lane]:
    """The lanes with their files; ``files`` tells of each whether it needs Kubernetes. ``count``: 1 to 4.

    ``known``: seconds of the files that take long.

    Within a lane the end-to-end tests come last: they install the operator, which other tests must not meet.
    """
    lanes = [Lane(number + 1, kind, seconds=HEAD_START * kind) for number, kind in enumerate(_KINDS[:count])]
    for file in sorted(files, key=lambda file: (not files[file], -seconds_of(file, known), file)):
        able = [lane for lane in lanes if lane.has_kubernetes or not files[file]]
        min(able, key=lambda lane: lane.seconds).take(file, seconds_of(file, known))
    for lane in lanes:
        lane.files.sort(key=lambda file: ("/e2e/" in file, file))
    return [lane for lane in lanes if lane.files]


def found(root: Path = Path()) -> dict[str, bool]:
    """Every test file of the suite that needs servers, and whether it needs Kubernetes."""
    files = [file for folder in SECONDS_OF_OTHERS for file in (root / "tests" / folder).glob("test_*.py")]
    kept = sorted(file for file in files if file.name not in APART)
    return {file.relative_to(root).as_posix(): needs_kubernetes(file) for file in kept}


def needs_kubernetes(file: Path) -> bool:
    """End-to-end tests do, and what is marked so."""
    return file.parent.name == "e2e" or "pytest.mark.needs_cluster" in file.read_text()


def seconds_of(file: str, known: Mapping[str, float] = SECONDS) -> float:
    """What a file takes, about."""
    folder, name = file.split("/")[-2:]
    return known.get(name, SECONDS_OF_OTHERS[folder])
