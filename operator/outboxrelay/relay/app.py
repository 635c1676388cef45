"""The composition root of a relay process: the only module here that knows adapters."""

import asyncio
import gc
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.credentials import DirectoryCredentials
from outboxrelay.adapters.http_server import Reply, Route, serve
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_source import PostgresSettler, PostgresSource
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.decisions.retries import BackoffPolicy
from outboxrelay.relay import endpoints
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.membership import Membership
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.process import Parts, RelayProcess
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.pump import Pump
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.session import Session
from outboxrelay.relay.settler import Settler

log = structlog.get_logger(__name__)

MARGIN_SECONDS = 5.0
"""Of the grace period, left for closing connections."""
SHORTEST_STOP_SECONDS = 2.0
CLOSE_SECONDS = 3.0
EXIT_ORDERLY = 0
GARBAGE_THRESHOLDS = (100_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    manifest: RelayManifest
    credentials: Path
    host: str
    port: int
    member: str


class _Relay:
    """One process, wired."""

    def __init__(self, options: Options) -> None:
        manifest = options.manifest
        spec = manifest.spec
        name = f"outboxrelay {manifest.identity}"
        credentials, clock = DirectoryCredentials(options.credentials), SystemClock()
        shards = spec.ordering.shards
        retry = spec.retry
        policy = BackoffPolicy(
            initial=retry.initial_backoff_milliseconds / 1000,
            maximum=float(retry.max_backoff_seconds),
            multiplier=retry.multiplier_percent / 100,
        )
        self.stop = asyncio.Event()
        self.ownership = Ownership(shards)
        self.source = PostgresSource(spec.source, shards, credentials, f"{name} read")
        self.settler = Settler(PostgresSettler(spec.source, shards, credentials, f"{name} settle"))
        self.publisher = KafkaPublisher(spec.target, credentials)
        self.beats, metrics, held = Beats(clock), Metrics(), HeldKeys()
        source_health, target_health = HealthTracker(clock), HealthTracker(clock)
        circuit = Circuit(self.publisher, policy, target_health, metrics, clock)
        reader = Reader(self.source, self.ownership, held, spec.source.read, clock)
        progress = Progress(metrics, clock)
        control = PostgresControl(spec.source.database, manifest.identity.uid, credentials, f"{name} control")
        membership = Membership(control, self.ownership, spec.state == "Running", self.beats, clock)
        pump = Pump(
            source=self.source,
            publisher=self.publisher,
            circuit=circuit,
            settler=self.settler,
            ownership=self.ownership,
            held=held,
            reader=reader,
            progress=progress,
            policy=policy,
            health=source_health,
            beats=self.beats,
            clock=clock,
            stop=self.stop,
        )
        self.process = RelayProcess(
            Parts(
                manifest=manifest,
                member_name=options.member,
                source=self.source,
                source_health=source_health,
                target_health=target_health,
                circuit=circuit,
                membership=membership,
                ownership=self.ownership,
                session=Session(membership, pump, circuit, reader, held),
                reader=reader,
                held=held,
                progress=progress,
                metrics=metrics,
                beats=self.beats,
                clock=clock,
                policy=policy,
                stop=self.stop,
            )
        )

    def routes(self) -> Mapping[str, Route]:
        """What is served."""
        process = self.process
        return {
            "/livez": lambda: _reply(endpoints.livez(self.beats)),
            "/readyz": lambda: _reply(endpoints.readyz(process.missing)),
            "/state": lambda: _reply(endpoints.state(process.report())),
            "/metrics": lambda: _reply(endpoints.metrics(process.scrape())),
        }

    async def close(self) -> None:
        """Give every connection up."""
        await self.source.close()
        await self.settler.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.publisher.close()


async def run(options: Options) -> int:
    """Run a relay until SIGTERM or SIGINT; a second signal ends it at once. Returns the exit code."""
    identity = options.manifest.identity
    structlog.contextvars.bind_contextvars(relay=str(identity), member=options.member)
    if options.manifest.spec.state == "Stopped":
        log.info("stopped_by_spec", message="spec.state is Stopped: nothing to run")
        return EXIT_ORDERLY
    relay = _Relay(options)
    _spare_the_collector()
    async with serve(relay.routes(), options.port, options.host) as port:
        log.info("relay_started", port=port, generation=identity.generation)
        try:
            return await _until_stopped(relay, options.manifest.spec.template.termination_grace_period_seconds)
        finally:
            await relay.close()
            log.info("relay_ended")


def _spare_the_collector() -> None:
    """Rows are many and without cycles: by default a sixth of the processor time went into looking for some."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


async def _until_stopped(relay: _Relay, grace_seconds: int) -> int:
    work = asyncio.create_task(relay.process.run(), name="relay")
    stopping = asyncio.create_task(_signals(relay, work), name="signals")
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await _end(relay, work, max(SHORTEST_STOP_SECONDS, grace_seconds - MARGIN_SECONDS))
        if not work.cancelled():
            work.result()
    finally:
        stopping.cancel()
        work.cancel()
        await asyncio.wait({work, stopping})
    return EXIT_ORDERLY


async def _end(relay: _Relay, work: asyncio.Task[None], seconds: float) -> None:
    """What is in flight may finish in most of ``seconds``; then it is given up, and settling has the rest."""
    await asyncio.wait({work}, timeout=seconds * 0.7)
    if not work.done():
        log.warning("delivery_given_up", message="the brokers did not confirm in time; the rows stay in the table")
        relay.publisher.abort()
        await asyncio.wait({work}, timeout=seconds * 0.3)
    if not work.done():
        log.warning("stopped_by_force", message="settling did not end in time; rows may be delivered again")


async def _signals(relay: _Relay, work: asyncio.Task[None]) -> None:
    """Return at the first signal; from then on a second one ends the work at once."""
    loop = asyncio.get_running_loop()
    received = asyncio.Event()

    def on_signal(name: str) -> None:
        if relay.stop.is_set():
            log.warning("stopping_at_once", signal=name)
            work.cancel()
            return
        log.info("stopping", signal=name)
        relay.stop.set()
        relay.ownership.changed.set()
        received.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    await received.wait()


def _reply(answer: endpoints.Answer) -> Reply:
    return Reply(body=answer.body, status=answer.status, content_type=answer.content_type)
