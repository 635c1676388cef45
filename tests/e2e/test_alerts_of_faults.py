"""From a real fault of each type of incident to the alert that the real Prometheus fires by the chart's rules: within a
minute, by itself gone when the cause is, and no other alert with it."""

import asyncio
import os
from pathlib import Path

import pytest

from outboxrelay.api.incidents import IncidentType
from outboxrelay.decisions.incidents.kinds import KINDS
from tests.e2e.alert_faults import CASES, OF_ALL, RELAYS, Case
from tests.e2e.alert_story import Story, tell
from tests.e2e.conftest import dump
from tests.e2e.timed_story import Course
from tests.support.docs_section import write_section
from tests.support.release import Operator
from tests.support.rig import Rig

PROMISED_SECONDS = 60.0
PAGE = Path("docs/monitoring.md")


@pytest.fixture(scope="module")
def story(rig: Rig, operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story is lived once; each test looks at one side of it."""
    if not rig.is_local:
        pytest.skip("stops servers, cuts networks and processes of pods: only on the local cluster")
    found = asyncio.run(tell(rig, operator, dump, tmp_path_factory.mktemp("prometheus")))
    print("\n" + table(found))
    if os.environ.get("WRITE_DOCS") and not any(course.trouble for course in found.courses.values()):
        write_section(PAGE, "alerts of faults", table(found))
    return found


def table(story: Story) -> str:
    """For the page and the terminal."""
    lines = ["| Alert | Fault | In status after | Alert after | Gone after |", "|---|---|---|---|---|"]
    for case in CASES:
        course = story.courses.get(case.fault.name, Course(case.fault))
        status = "-" if course.status is None else f"{course.status:.0f} s"
        after = f"{course.told:.0f} s"
        if case.designed:
            after += f", {course.told - case.designed:.0f} s after {case.designed:.0f} s by design"
        name = f"OutboxRelay{case.fault.type}"
        lines.append(f"| `{name}` | {case.fault.name} | {status} | {after} | {course.resolved:.0f} s |")
    return "\n".join(lines)


def test_every_type_of_incident_has_a_fault() -> None:
    assert sorted(case.fault.type for case in CASES) == sorted(KINDS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault.type)
def test_an_alert_fires_within_a_minute_of_its_fault_and_goes_with_it(story: Story, case: Case) -> None:
    course = story.courses[case.fault.name]
    assert course.trouble == "", f"{course.trouble}\n{story.look}"
    assert 0 < course.told <= case.designed + PROMISED_SECONDS


def test_no_alert_fires_but_those_of_the_faults_and_each_of_them_once(story: Story) -> None:
    found = {(alarm.name, alarm.relay): len(alarm.fired) for alarm in story.alarms}
    own = {(f"OutboxRelay{case.fault.type}", case.fault.line) for case in RELAYS}
    shared = {(f"OutboxRelay{case.fault.type}", other.fault.line) for case in OF_ALL for other in RELAYS}
    expected = own | shared | {(f"OutboxRelay{IncidentType.OPERATOR_FAILOVER}", "")}
    # Rows in a quarantine that is full are rows that cannot be sent.
    expected.add((f"OutboxRelay{IncidentType.POISON_ROWS}", "full"))
    # A transaction that is open for long holds rows of all tables back, and the one node has the pods of all.
    others = (IncidentType.TRANSACTION_HELD_OPEN, IncidentType.RELAY_NOT_READY)
    also = {(f"OutboxRelay{kind}", case.fault.line) for kind in others for case in RELAYS}
    assert {place: count for place, count in found.items() if place not in also} == dict.fromkeys(expected - also, 1)
