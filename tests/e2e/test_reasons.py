"""Each fault has a reason of its own and a message that names the cause, and heals when its cause goes.

The faults happen at the same time, each to a relay of its own in one namespace, so that none hides behind another;
the broker and the database are stopped once for all.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.cluster import kafka, postgres
from tests.e2e.conftest import dump
from tests.e2e.faults import FAULTS, Fault
from tests.support.kubectl import Object
from tests.support.line import Line, told
from tests.support.oracle import Oracle, Verdict
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.stand import Stand

DEADLINE = 90.0
ROWS = 20


@dataclass
class Course:
    """What was seen of one fault; ``trouble`` is why it did not take its course."""

    condition: Object = field(default_factory=dict)
    columns: str = ""
    event: Object = field(default_factory=dict)
    healed: bool = False
    trouble: str = ""
    words: list[str] = field(default_factory=list)


@dataclass
class Story:
    """What happened to every relay."""

    courses: dict[tuple[str, str], Course] = field(default_factory=dict)
    """By fault and relay."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    look: str = ""

    @contextlib.contextmanager
    def course(self, fault: str, line: Line) -> Iterator[Course]:
        """One course; what goes wrong in it is kept for the test that asks, and the others go on."""
        course = self.courses[fault, line.name] = Course()
        try:
            yield course
        except AssertionError as error:
            course.trouble = str(error)


async def observe(course: Course, line: Line, condition: str, reason: str) -> None:
    course.condition = await line.wait_condition(condition, "False", reason, DEADLINE)
    await line.wait_condition("Ready", "False", reason, DEADLINE)
    course.columns = await line.row("-o", "wide")
    course.event = await line.wait_event(reason)


async def suffer(story: Story, stand: Stand, fault: Fault) -> None:
    """One relay, from its fault to its healing."""
    line = stand.plan(fault.name)
    with story.course(fault.name, line) as course:
        course.words = fault.expected(line)
        await fault.inject(stand, line)
        await line.apply()
        await observe(course, line, fault.condition, fault.reason)
        await fault.heal(stand, line)
        await line.wait_ready(DEADLINE)
        course.healed = True


async def outage(
    story: Story, lines: list[Line], name: str, condition: str, reason: str, server: tuple[Callable[[], None], ...]
) -> None:
    """Stop a server that all share, and start it when all relays have noticed."""
    stop, start = server
    await asyncio.to_thread(stop)
    try:
        await asyncio.gather(*(notice(story, line, name, condition, reason) for line in lines))
    finally:
        await asyncio.to_thread(start)
    await asyncio.gather(*(recover(story, line, name) for line in lines))


async def notice(story: Story, line: Line, name: str, condition: str, reason: str) -> None:
    with story.course(name, line) as course:
        await observe(course, line, condition, reason)


async def recover(story: Story, line: Line, name: str) -> None:
    course = story.courses[name, line.name]
    try:
        await line.wait_ready(DEADLINE)
        course.healed = True
    except AssertionError as error:
        course.trouble = course.trouble or str(error)


@contextlib.asynccontextmanager
async def oracles(lines: list[Line]) -> AsyncIterator[dict[str, Oracle]]:
    async with contextlib.AsyncExitStack() as stack:
        yield {line.name: await stack.enter_async_context(line.oracle(keys=5)) for line in lines}


async def tell(rig: Rig) -> Story:
    """Everything, once."""
    story = Story()
    async with Stand(rig) as stand:
        await asyncio.gather(*(suffer(story, stand, fault) for fault in FAULTS))
        lines = [line for name, line in stand.lines.items() if story.courses[name, name].healed]
        async with oracles(lines) as all_oracles:
            await write(all_oracles)
            broker = (kafka.stop, kafka.start)
            await outage(story, lines, "stopped-broker", "TargetReachable", "BrokerUnavailable", broker)
            await write(all_oracles)
            database = (postgres.stop, postgres.start)
            await outage(story, lines, "stopped-database", "SourceReachable", "ConnectFailed", database)
            await write(all_oracles)
            for name, oracle in all_oracles.items():
                story.verdicts[name] = await oracle.verdict()
        story.look = await asyncio.to_thread(dump, rig, stand.name, "reasons")
    return story


async def write(all_oracles: dict[str, Oracle]) -> None:
    await asyncio.gather(*(oracle.writer.write(ROWS) for oracle in all_oracles.values()))


@pytest.fixture(scope="module")
def story(rig: Rig, operator: Operator) -> Story:
    """The story is lived once; each test looks at one side of it."""
    if not rig.is_local:
        pytest.skip("stops the broker and the database: only on the local cluster, not with OUTBOXRELAY_CONTEXT")
    return asyncio.run(tell(rig))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_its_own_reason_names_its_cause_and_heals_by_itself(story: Story, fault: Fault) -> None:
    check(story, story.courses[fault.name, fault.name], fault.reason)


@pytest.mark.parametrize(
    ("name", "reason", "word"),
    [("stopped-broker", "BrokerUnavailable", "kafka"), ("stopped-database", "ConnectFailed", "the database")],
)
def test_a_server_that_is_stopped_is_named_by_every_relay_and_all_heal_by_themselves(
    story: Story, name: str, reason: str, word: str
) -> None:
    courses = [course for (fault, _), course in story.courses.items() if fault == name]
    assert courses
    for course in courses:
        course.words = [word]
        check(story, course, reason)


def check(story: Story, course: Course, reason: str) -> None:
    assert course.trouble == "", f"{course.trouble}\n{story.look}"
    assert course.healed
    assert reason in course.columns
    for word in course.words:
        assert word in course.condition["message"], told({"seen": course.condition})
        assert word in course.columns
        assert word in course.event["message"]
    assert course.event["type"] == "Warning"


def test_after_all_these_faults_nothing_is_lost_and_no_key_out_of_order(story: Story) -> None:
    assert len(story.verdicts) == len(FAULTS)
    for name, verdict in story.verdicts.items():
        assert verdict.passed, f"{name}: {verdict.report()}"
        assert verdict.committed >= 3 * ROWS


def test_no_message_shows_a_password(story: Story) -> None:
    assert "postgresql://" not in story.look
