"""A fault for each type of incident, nearly all at once, and when the real Prometheus said so and ceased to."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outboxrelay.api.incidents import IncidentType
from outboxrelay.api.names import PLURAL
from tests.e2e.alert_faults import OF_ALL, OF_THE_NODE, OF_THE_OPERATOR, RELAYS, SIDE_BY_SIDE, Case, authority
from tests.e2e.timed_faults import Scene
from tests.e2e.timed_story import Course, Teller, dripping
from tests.support.alert_diary import Alarm, AlertDiary, alert_diary
from tests.support.incident_diary import diary
from tests.support.line import Line
from tests.support.prometheus import Prometheus, prometheus
from tests.support.relay_process import free_port
from tests.support.release import Operator
from tests.support.rig import Rig
from tests.support.service_targets import operators_job
from tests.support.stand import Stand
from tests.support.waiting import until

SCRAPE = "15s"
"""As the chart's ServiceMonitor does it."""
EVALUATE = "5s"
STEP_SECONDS = 1.5
"""Between the beginnings of two faults, or what is timed on two cores is how two dozen kubectl start at once."""


@dataclass
class Story:
    """What happened."""

    courses: dict[str, Course] = field(default_factory=dict)
    """By fault; people are told by an alert."""
    alarms: list[Alarm] = field(default_factory=list)
    look: str = ""


class Alarmed:
    """People who are told by alerts: one for each relay that has the fault."""

    def __init__(self, alerts: AlertDiary) -> None:
        self._alerts = alerts

    async def told(self, course: Course, lines: Sequence[Line], since: float, state: str) -> bool:
        """Whether the alerts of all these relays fire since then, or none does any more."""
        kind = course.fault.type
        relays = [""] if kind == IncidentType.OPERATOR_FAILOVER else [line.name for line in lines]
        name = f"OutboxRelay{kind}"
        if state == "Open":
            found = [self._alerts.fired(name, relay, since) for relay in relays]
        else:
            found = [self._alerts.gone(name, relay) for relay in relays]
        times = [at for at in found if at is not None]
        if len(times) < len(relays):
            return False
        seconds = max(0.0, max(times) - since)
        if state == "Open":
            course.told = seconds
        else:
            course.resolved = seconds
        return True


async def tell(rig: Rig, operator: Operator, dump: Callable[[Rig, str, str], str], folder: Path) -> Story:
    """Everything, once."""
    async with contextlib.AsyncExitStack() as stack:
        job = await stack.enter_async_context(operators_job(operator.kubectl, folder))
        watcher = await stack.enter_async_context(
            prometheus(folder, free_port(), [job], scrape=SCRAPE, evaluate=EVALUATE)
        )
        stand = await stack.enter_async_context(Stand(rig))
        book = await stack.enter_async_context(diary(stand.kubectl))
        scene = Scene(stand, operator)
        stack.push_async_callback(scene.close)
        lines = await begin(scene)
        await until(lambda: is_calm(watcher), "Prometheus that sees the operator and fires nothing", 60, every=1)
        alerts = await stack.enter_async_context(alert_diary(watcher, stand.name))
        teller = Teller(scene, book, Alarmed(alerts).told)
        services = {case.fault.line: lines[case.fault.line] for case in RELAYS if case.runs}
        async with dripping(stand, services):
            await all_faults(teller, lines)
        look = await asyncio.to_thread(dump, rig, stand.name, "alerts of faults")
        return Story(teller.story.courses, list(alerts.alarms.values()), look)


async def is_calm(watcher: Prometheus) -> bool:
    """Whether the operator's pods are scraped, one of them leads, and no alert fires.

    An operator that finds the Lease of one that was ended before takes over from it, and says so."""
    leading = await watcher.query("outboxrelay_controller_leading == 1")
    return len(leading) == 1 and not await watcher.alerts()


async def begin(scene: Scene) -> dict[str, Line]:
    """A relay for each fault that has one of its own; all are as they should be."""
    stand = scene.stand
    lines = {case.fault.line: stand.plan(case.fault.line) for case in RELAYS}
    await asyncio.gather(*(furnish(stand, line) for line in lines.values()))
    await stand.kubectl.apply(authority(stand), *(stand.secret(line) for line in lines.values()))
    for case in RELAYS:
        await case.first(scene, lines[case.fault.line])
    await stand.kubectl.apply(
        *(lines[case.fault.line].manifest(**case.spec(lines[case.fault.line])) for case in RELAYS)
    )
    seen: dict[str, bool] = {}
    await until(lambda: all_well(stand, seen), "relays that are well", 150, every=1, last=lambda: seen)
    return lines


async def furnish(stand: Stand, line: Line) -> None:
    """What the relay needs of its database and its brokers."""
    await stand.create_table(line)
    await stand.create_role(line)
    await stand.create_topic(line)


async def all_well(stand: Stand, seen: dict[str, bool]) -> bool:
    """Whether those with a pod deliver, and the others' database and brokers answer; ``seen`` says which are so."""
    for relay in await stand.kubectl.list(PLURAL):
        conditions = {item["type"]: item["status"] for item in relay.get("status", {}).get("conditions", [])}
        wanted = ["SourceReachable", "TargetReachable"]
        wanted += ["Ready"] if relay["spec"]["scaling"]["replicas"] else []
        seen[relay["metadata"]["name"]] = all(conditions.get(name) == "True" for name in wanted)
    return len(seen) == len(RELAYS) and all(seen.values())


async def suffer(teller: Teller, case: Case, lines: dict[str, Line], wait: float) -> None:
    """One fault that begins after a while and goes on beside the others."""
    await asyncio.sleep(wait)
    await teller.suffer(case.fault, [lines[case.fault.line]])


async def all_faults(teller: Teller, lines: dict[str, Line]) -> None:
    """First those of one relay, then those of the node, of the operator and of what all share."""
    one_by_one = enumerate(sorted(SIDE_BY_SIDE, key=lambda case: -case.designed))
    await asyncio.gather(*(suffer(teller, case, lines, number * STEP_SECONDS) for number, case in one_by_one))
    await teller.suffer(OF_THE_NODE.fault, [lines[OF_THE_NODE.fault.line]])
    courses = teller.story.courses
    well = [lines[case.fault.line] for case in RELAYS if not courses[case.fault.name].trouble]
    failover = asyncio.create_task(teller.suffer(OF_THE_OPERATOR.fault, well), name="failover")
    await teller.known(OF_THE_OPERATOR.fault)
    # It takes the new leader half a minute to call the failover over; faults do not wait for that.
    await asyncio.gather(*(teller.suffer(case.fault, well) for case in OF_ALL))
    await failover
