"""From each of thirteen faults to its incident in the status and to whoever is told: within a minute, nearly always
within half of one; and to its end by itself, told once, without flapping."""

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import dump
from tests.e2e.timed_faults import (
    AT_ONCE,
    BROKER_STOPPED,
    DATABASE_HUNG,
    DATABASE_STOPPED,
    FAULTS,
    NODE_GONE,
    TimedFault,
)
from tests.e2e.timed_story import WITNESS, Course, Story, tell
from tests.support.docs_section import write_section
from tests.support.release import Operator
from tests.support.rig import Rig

PROMISED_SECONDS = 60.0
NEARLY_ALWAYS_SECONDS = 30.0
PAGE = Path("docs/incidents/README.md")


@pytest.fixture(scope="module")
def story(rig: Rig, operator: Operator) -> Story:
    """The story is lived once; each test looks at one side of it."""
    if not rig.is_local:
        pytest.skip("stops servers, the kubelet and processes of pods: only on the local cluster")
    found = asyncio.run(tell(rig, operator, dump))
    print("\n" + table(found))
    if os.environ.get("WRITE_DOCS"):
        write_section(PAGE, "timed faults", table(found))
    return found


def table(story: Story) -> str:
    """For the page and the terminal."""
    lines = [
        "| Fault | Incident | In status after | Told after | Over, and told so, after |",
        "|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        course = story.courses.get(fault.name, Course(fault))
        status = "-" if course.status is None else f"{course.status:.0f} s"
        lines.append(f"| {fault.name} | {fault.type} | {status} | {course.told:.0f} s | {course.resolved:.0f} s |")
    return "\n".join(lines)


def seconds(course: Course) -> float:
    """Until everybody knew."""
    return max(course.told, course.status or 0.0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_known_and_told_within_a_minute_and_ends_by_itself(story: Story, fault: TimedFault) -> None:
    course = story.courses[fault.name]
    assert course.trouble == "", f"{course.trouble}\n{story.look}"
    assert 0 < course.told <= PROMISED_SECONDS
    assert seconds(course) <= PROMISED_SECONDS
    assert course.resolved > 0


def test_all_but_one_are_known_within_half_a_minute(story: Story) -> None:
    late = {name: round(seconds(course), 1) for name, course in story.courses.items()}
    assert sum(taken > NEARLY_ALWAYS_SECONDS for taken in late.values()) <= 1, late


def test_each_fault_is_told_once_when_it_comes_and_once_when_it_goes_and_nothing_else_is(story: Story) -> None:
    told = Counter((notice["type"], notice["state"]) for notice in story.notices)
    expected = Counter((fault.type, state) for fault in FAULTS for state in ("Open", "Resolved"))
    assert told == expected, story.notices


def test_no_relay_has_an_incident_but_those_of_its_own_and_of_what_all_share_and_none_flaps(story: Story) -> None:
    relays = {life.relay for life in story.lives} - {"refused"}
    shared = (BROKER_STOPPED, DATABASE_STOPPED, DATABASE_HUNG)
    expected = Counter({(fault.line, fault.type): 1 for fault in (*AT_ONCE, NODE_GONE)})
    expected += Counter((relay, fault.type) for relay in relays for fault in shared)
    found: Counter[tuple[str, str]] = Counter()
    for life in story.lives:
        found[life.relay, life.type] += len(life.opened)
        assert len(life.resolved) == len(life.opened), life
    assert found == expected
    assert WITNESS in relays


def test_after_all_of_them_no_row_is_left(story: Story) -> None:
    assert set(story.pending.values()) == {0}, story.pending


def test_a_stall_without_an_error_names_its_cause(story: Story) -> None:
    message = story.courses["no progress without an error"].message
    assert "no pod owns any of the 16 shards" in message
