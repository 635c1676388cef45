"""The controller process: the only place of it where adapters are chosen and a clock is read.

Standing by, it serves health and waits for the Lease. Leading, it runs the watches, the queue and the probes as one
group: when one of them ends, all end, and the process with them, to be started anew.
"""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from outboxrelay.adapters.broker_probe import BrokerProbe
from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.database_probe import DatabaseProbe
from outboxrelay.adapters.http_server import Reply, Route, serve, serve_site
from outboxrelay.adapters.kube import KubeClient, open_client
from outboxrelay.adapters.kube_lease import KubeLease
from outboxrelay.adapters.kube_objects import KubeObjects
from outboxrelay.adapters.kube_watch import KubeWatch
from outboxrelay.adapters.notify import Alertmanager, Webhook, open_session
from outboxrelay.adapters.report_client import open_reports
from outboxrelay.api.incidents import Severity
from outboxrelay.controller.apply import Applier
from outboxrelay.controller.children import Children
from outboxrelay.controller.claims import Claims
from outboxrelay.controller.console.answers import Request
from outboxrelay.controller.console.history import History
from outboxrelay.controller.console.knowledge import Knowledge, Standing
from outboxrelay.controller.ending import exit_code
from outboxrelay.controller.events import Events
from outboxrelay.controller.handlers import watch_relays
from outboxrelay.controller.health import Health
from outboxrelay.controller.incidents import IncidentKeeper
from outboxrelay.controller.lateness import Lateness
from outboxrelay.controller.leader import Leader, Predecessor
from outboxrelay.controller.metrics import Metrics
from outboxrelay.controller.notifications import Notifications, Receiver
from outboxrelay.controller.prober import Prober
from outboxrelay.controller.queue import WorkQueue
from outboxrelay.controller.reconcile import Reconciler
from outboxrelay.controller.relays import Body, Relays, is_new, key_of
from outboxrelay.controller.reporter import Reporter, found_status
from outboxrelay.controller.resync import BlindWatch, Resync, wait_for_relays
from outboxrelay.controller.rollouts import Rollouts, is_critical
from outboxrelay.controller.scaling import Autoscaler
from outboxrelay.controller.survey import Surveyor
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.pacing import numbers_interval, survey_interval
from outboxrelay.settings import ControllerSettings

if TYPE_CHECKING:
    from outboxrelay.controller.console.console import Console

log = structlog.get_logger(__name__)

STOP_SECONDS = 10.0
SETTLED_SECONDS = 30.0
"""A new leader that works for this long has settled: the failover is over."""


async def run_controller(settings: ControllerSettings) -> int:
    """Run until SIGTERM or SIGINT (exit code 0), or until something that must go on ends (1)."""
    stop = _stop_on_signals()
    # What was imported stays: the garbage collector need not look through it again and again.
    gc.freeze()
    health, metrics = Health(), Metrics()
    async with (
        open_client() as client,
        serve(_routes(health, metrics), settings.port, host="0.0.0.0"),  # noqa: S104
        _console(settings, health) as console,
    ):
        log.info("controller_started", identity=settings.identity, namespaces=settings.namespaces or "all")
        work = asyncio.create_task(_stand_and_lead(settings, client, health, metrics, console), name="controller")
        stopped = asyncio.create_task(stop.wait(), name="signals")
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        asked = stop.is_set()
        stopped.cancel()
        work.cancel()
        await asyncio.wait({work}, timeout=STOP_SECONDS)
        return exit_code(work, asked, STOP_SECONDS)


async def _stand_and_lead(
    settings: ControllerSettings, client: KubeClient, health: Health, metrics: Metrics, console: "Console | None"
) -> None:
    objects, clock = KubeObjects(client), SystemClock()

    def saw(holder: str) -> None:
        health.connected, health.holder = True, holder

    lease = KubeLease(objects, settings.lease_namespace, settings.lease_name)
    leader = Leader(lease, settings.identity, clock=clock, saw=saw)
    await leader.acquire()
    health.leading = True
    metrics.leading.set(1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(leader.keep(), name="lease")
            work = _lead(settings, client, health, metrics, console, leader.predecessor)
            group.create_task(work, name="leader's work")
    finally:
        health.leading = health.working = False
        metrics.stepped_down()
        await leader.release("gave up: its watch of OutboxRelays was dead" if health.blind else "")


async def _lead(
    settings: ControllerSettings,
    client: KubeClient,
    health: Health,
    metrics: Metrics,
    console: "Console | None",
    predecessor: Predecessor | None,
) -> None:
    """A leader's work, until something of it ends."""
    objects, clock = KubeObjects(client), SystemClock()
    relays, lateness = Relays(), Lateness(clock, metrics.late.inc)
    async with (
        open_reports() as reports,
        _probes(lateness) as (database, broker),
        _notifications(settings, metrics) as notifications,
    ):
        incidents = IncidentKeeper(
            notifications,
            metrics.incidents,
            clock=clock,
            interval=settings.probe_interval,
            runbooks=settings.runbook_url,
        )
        metrics.incidents.follow(incidents.open, notifications.pending)

        # The queue and what it calls know each other: the queue is asked for by name when it is needed.
        def wake(key: Key) -> None:
            queue.wake(key)

        claims, children = Claims(wake), Children(objects, KubeWatch(client), wake)
        prober = Prober(
            database,
            broker,
            reports,
            metrics.probes,
            clock=clock,
            wake=wake,
            interval=settings.probe_interval,
        )
        reconciler = Reconciler(
            relays,
            children,
            Surveyor(
                objects,
                children,
                claims,
                database,
                clock=clock,
                interval=lambda: survey_interval(len(relays)),
                image=settings.relay_image,
                priority_class=settings.critical_priority_class,
            ),
            Applier(objects, children.remember, clock=clock),
            prober,
            Reporter(
                objects,
                Events(objects, clock=clock),
                incidents,
                clock=clock,
                interval=lambda: numbers_interval(settings.status_interval, len(relays)),
            ),
            claims,
            Autoscaler(clock=clock, period=settings.probe_interval),
            metrics.scaling,
            Rollouts(relays, clock=clock, at_once=settings.rollouts_at_once, watched=settings.rollout_watch),
            lateness,
            clock=clock,
            interval=settings.probe_interval,
        )
        queue = WorkQueue(
            metrics.counted(reconciler.reconcile).__call__, is_critical=lambda key: is_critical(relays.get(key))
        )
        resync = Resync(objects, relays, wake, clock=clock, namespaces=settings.namespaces)
        await wait_for_relays(resync)

        def deliver(event: str | None, body: Body) -> None:
            news = relays.is_news(event, body)
            before = relays.get(key_of(body))
            key, uid = relays.deliver(event, body), body["metadata"]["uid"]
            if event != "DELETED" and not incidents.knows(key, uid):
                # Before any is looked at: what many share has ended only when all of them say so.
                incidents.adopt(key, uid, found_status(body).incidents)
            if is_new(before, body):
                queue.changed(key)
            elif news:
                queue.wake(key)

        metrics.relays.set_function(relays.__len__)
        metrics.queue.set_function(queue.due)
        metrics.each.follow(reconciler.numbers)
        async with asyncio.TaskGroup() as group:
            group.create_task(lateness.run(), name="lateness")
            group.create_task(notifications.run(), name="notifications")
            if predecessor is not None:
                group.create_task(_tell_of_failover(incidents, predecessor), name="failover")
            group.create_task(prober.run(), name="prober")
            if console is not None:
                knowledge = Knowledge(relays, children.pods, prober.results, clock, History())
                group.create_task(console.lead(knowledge, reconciler.numbers), name="console")
            group.create_task(children.run(settings.namespaces), name="children")
            await children.synced()
            group.create_task(queue.run(), name="queue")
            group.create_task(watch_relays(settings.namespaces, deliver), name="kopf")
            group.create_task(_resync(resync, health), name="resync")
            health.working = True


async def _tell_of_failover(incidents: IncidentKeeper, predecessor: Predecessor) -> None:
    since = SystemClock().now() - timedelta(seconds=predecessor.silent)
    notice = incidents.took_over(predecessor.holder, since.replace(microsecond=0))
    await asyncio.sleep(SETTLED_SECONDS)
    incidents.resolved(notice)


@asynccontextmanager
async def _console(settings: ControllerSettings, health: Health) -> AsyncIterator["Console | None"]:
    """The console where it is asked for, on the loopback of the pod: that is where kubectl port-forward comes from."""
    port = settings.console_port
    if port is None:
        yield None
        return
    # The templates' library takes memory that nobody need spend who shows nothing.
    from outboxrelay.controller.console.console import Console

    def standing() -> Standing:
        return Standing(settings.identity, health.leading, health.holder, settings.lease_namespace, port)

    console = Console(standing, clock=SystemClock())
    async with serve_site(lambda *call: console.answer(Request(*call)), port, "--console-port"):
        log.info("console_served", address=f"http://localhost:{port}")
        yield console


@asynccontextmanager
async def _notifications(settings: ControllerSettings, metrics: Metrics) -> AsyncIterator[Notifications]:
    clock = SystemClock()
    operator = f"{settings.lease_namespace}/{settings.lease_name}"
    async with open_session() as session:
        receivers: list[Receiver] = [Webhook(session, url, operator) for url in settings.webhook_urls]
        receivers += [Alertmanager(session, url, clock.now) for url in settings.alertmanager_urls]
        yield Notifications(
            receivers, clock=clock, least=Severity(settings.notify_severity), count=metrics.incidents.noticed
        )


async def _resync(resync: Resync, health: Health) -> None:
    try:
        await resync.run()
    except BlindWatch as blind:
        health.blind = str(blind)
        raise


@asynccontextmanager
async def _probes(lateness: Lateness) -> AsyncIterator[tuple[DatabaseProbe, BrokerProbe]]:
    database, broker = DatabaseProbe(lateness), BrokerProbe(lateness)
    try:
        yield database, broker
    finally:
        await database.close()
        await broker.close()


def _routes(health: Health, metrics: Metrics) -> dict[str, Route]:
    def reply(state: tuple[bool, str]) -> Reply:
        well, text = state
        return Reply(text + "\n", 200 if well else 503)

    return {
        "/livez": lambda: reply(health.live()),
        "/readyz": lambda: reply(health.ready()),
        "/metrics": lambda: Reply(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8"),
    }


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
