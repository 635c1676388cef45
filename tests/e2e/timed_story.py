"""The thirteen faults, one after the other or at once, and what a watcher of the cluster and a receiver saw of each."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from confluent_kafka import KafkaException

from tests.cluster import paths
from tests.cluster.failures import ClusterError
from tests.e2e.timed_faults import (
    AT_ONCE,
    BROKER_STOPPED,
    DATABASE_HUNG,
    DATABASE_STOPPED,
    LEADER_KILLED,
    NODE_GONE,
    WATCH_CUT,
    Scene,
    TimedFault,
    let_in,
)
from tests.support.api_proxy import api_proxy
from tests.support.incident_diary import Diary, Life, diary
from tests.support.line import Line
from tests.support.receivers import Receiver, receiver
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.stand import Stand
from tests.support.waiting import until

DEADLINE = 75.0
CALM_SECONDS = 10.0
"""How long nothing more may be told of after the last incident has ended; that one, a failover, takes half a minute in
which nothing else may end or begin either."""
TROUBLE = (AssertionError, ClusterError, OSError, ValueError, asyncpg.PostgresError, KafkaException)
"""What one fault may meet while the others go on."""
WITNESS = "orders"
"""The relay that no fault of its own happens to."""


@dataclass
class Course:
    """One fault; seconds from its injection, and from the end of its cause."""

    fault: TimedFault
    status: float | None = None
    """Until it was in the status of every relay that has it; None for a fault of the operator."""
    told: float = 0.0
    resolved: float = 0.0
    """Until the receiver was told of its end."""
    message: str = ""
    trouble: str = ""


@dataclass
class Story:
    """What happened."""

    courses: dict[str, Course] = field(default_factory=dict)
    lives: list[Life] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)
    """Rows that were left, by relay."""
    look: str = ""


Told = Callable[[Course, Sequence[Line], float, str], Awaitable[bool]]
"""Whether people were told since a moment that the incident of these relays is Open or Resolved; how long that took is
noted in the course."""


class Hooked:
    """People who are told by a webhook."""

    def __init__(self, hook: Receiver) -> None:
        self._hook = hook

    async def told(self, course: Course, lines: Sequence[Line], since: float, state: str) -> bool:
        """Whether the receiver was told; once for all relays."""
        name = course.fault.line
        for came, (_, body) in zip(self._hook.times, self._hook.taken, strict=True):
            data = body["data"]
            relays = {relay["name"] for relay in data["relays"]}
            fits = (data["type"], data["state"]) == (course.fault.type, state) and (not name or relays == {name})
            if fits and came >= since:
                if state == "Open":
                    course.told, course.message = came - since, data["message"]
                else:
                    course.resolved = came - since
                return True
        return False


class Teller:
    """Lets the faults happen and takes the times."""

    def __init__(self, scene: Scene, book: Diary, told: Told) -> None:
        self._scene = scene
        self._book = book
        self._told = told
        self.story = Story()

    async def suffer(self, fault: TimedFault, lines: Sequence[Line]) -> None:
        """One fault from its injection to its end; what goes wrong is kept, and the others go on."""
        course = self.story.courses[fault.name] = Course(fault)
        try:
            await self._notice(course, lines)
            await self._recover(course, lines)
        except TROUBLE as error:
            course.trouble = str(error) or repr(error)
        known = "" if course.status is None else f" in status after {course.status:.1f} s,"
        print(
            f"{fault.name}:{known} told after {course.told:.1f} s, over after {course.resolved:.1f} s {course.trouble}"
        )

    async def known(self, fault: TimedFault) -> None:
        """Wait until people were told of it."""

        async def told() -> bool:
            course = self.story.courses.get(fault.name)
            return course is not None and bool(course.told or course.trouble)

        await until(told, f"notice of {fault.name}", 2 * DEADLINE)

    async def _notice(self, course: Course, lines: Sequence[Line]) -> None:
        if course.fault.prepare is not None:
            await course.fault.prepare(self._scene, lines[0])
        began = time.monotonic()
        try:
            await course.fault.inject(self._scene, lines[0])
            notice = f"notice of {course.fault.name}"
            await until(lambda: self._told(course, lines, began, "Open"), notice, DEADLINE, every=0.1)
            if course.fault.type != "OperatorFailover":
                await until(lambda: self._written(course, lines, began), f"{course.fault.type} in status", DEADLINE)
        except TROUBLE:
            await course.fault.heal(self._scene, lines[0])
            raise

    async def _recover(self, course: Course, lines: Sequence[Line]) -> None:
        await course.fault.heal(self._scene, lines[0])
        healed = time.monotonic()
        over = f"end of {course.fault.name}"
        await until(lambda: self._told(course, lines, healed, "Resolved"), over, 180, every=0.1)

    async def _written(self, course: Course, lines: Sequence[Line], began: float) -> bool:
        """Whether every relay that has it says so."""
        found = []
        for line in lines:
            lives = self._book.of(course.fault.type, line.name)
            found.append(min((at for life in lives for at in life.opened if at >= began), default=None))
        times = [at for at in found if at is not None]
        course.status = max(times) - began if times else None
        return len(times) == len(lines)


async def tell(rig: Rig, operator: Operator, dump: Callable[[Rig, str, str], str]) -> Story:
    """Everything, once."""
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(api_proxy())
        hook = await stack.enter_async_context(receiver(host=paths.NODE_IP))
        overseen = {**proxy.environment(), "OUTBOXRELAY_CONTROLLER_WEBHOOK_URL": hook.url}
        stack.push_async_callback(operator.set_environment, **dict.fromkeys(overseen))
        await operator.set_environment(**overseen)
        stand = await stack.enter_async_context(Stand(rig))
        book = await stack.enter_async_context(diary(stand.kubectl))
        scene = Scene(stand, operator, proxy)
        stack.push_async_callback(scene.close)
        teller = Teller(scene, book, Hooked(hook).told)
        lines = await begin(scene)
        async with dripping(stand, lines):
            await all_faults(teller, scene, lines)
        story = teller.story
        for line in lines.values():
            story.pending[line.name] = await emptied(stand, line)
        await asyncio.sleep(CALM_SECONDS)
        story.lives, story.notices = list(book.lives.values()), [body["data"] for _, body in hook.taken]
        story.look = await asyncio.to_thread(dump, rig, stand.name, "timed faults")
    return story


async def begin(scene: Scene) -> dict[str, Line]:
    """A relay for each fault that has one of its own, and the witness; all deliver."""
    stand = scene.stand
    faults = {WITNESS: NODE_GONE, **{fault.line: fault for fault in AT_ONCE}}
    lines = {name: await stand.line(name) for name in faults}
    for name, fault in faults.items():
        spec = fault.spec(lines[name])
        if spec:
            await let_in(scene, lines[name])
        await lines[name].apply(**spec)
    await asyncio.gather(*(line.wait_ready(90) for line in lines.values()))
    return lines


async def all_faults(teller: Teller, scene: Scene, lines: dict[str, Line]) -> None:
    """First those of one relay, then those of the operator and of what all share."""
    await asyncio.gather(*(teller.suffer(fault, [lines[fault.line]]) for fault in AT_ONCE))
    # Its brokers are reached at another port, which is another place: not one of those that are lost together.
    refused = lines.pop("refused")
    teller.story.pending[refused.name] = await emptied(scene.stand, refused)
    await refused.kubectl.run("delete", "outboxrelay", refused.name, "--wait=false")
    every = list(lines.values())
    witness = lines[WITNESS]
    failover = asyncio.create_task(teller.suffer(LEADER_KILLED, [witness]), name="failover")
    await teller.known(LEADER_KILLED)
    # It takes the new leader half a minute to call the failover over; faults do not wait for that.
    await asyncio.gather(teller.suffer(BROKER_STOPPED, every), teller.suffer(NODE_GONE, [witness]))
    await failover
    await teller.suffer(DATABASE_STOPPED, every)
    await teller.suffer(DATABASE_HUNG, every)
    await teller.suffer(WATCH_CUT, [witness])


@contextlib.asynccontextmanager
async def dripping(stand: Stand, lines: dict[str, Line]) -> AsyncIterator[None]:
    """Services that write a row now and then, and wait where their database is away."""

    insert = "INSERT INTO {} (aggregate_id, event_type, payload) VALUES ($1, 'E', '1')"
    away = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

    async def drip() -> None:
        while True:
            with contextlib.suppress(*away):
                session: Any = await asyncpg.connect(stand.uri, timeout=5)
                try:
                    for number in itertools.count():
                        for line in list(lines.values()):
                            await session.execute(insert.format(line.table.qualified), f"key {number % 7}", timeout=5)
                        await asyncio.sleep(0.5)
                finally:
                    session.terminate()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(drip(), name="services")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def emptied(stand: Stand, line: Line) -> int:
    """Rows that are left in the table after a while."""
    count = f"SELECT count(*) FROM {line.table.qualified}"
    left = 0

    async def empty() -> bool:
        nonlocal left
        left = int(await stand.value(count))
        return left == 0

    with contextlib.suppress(AssertionError):
        await until(empty, "empty table", 30, every=1)
    return left
