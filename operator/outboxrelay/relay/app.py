"""The composition root of a relay process: the only module here that knows adapters."""

import asyncio
import gc
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from outboxrelay.adapters.clock import SystemClock
from outboxrelay.adapters.credentials import DirectoryCredentials
from outboxrelay.adapters.http_server import Reply, Route, serve
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.kafka_renewal import KafkaRenewal
from outboxrelay.adapters.postgres_connect import place_of
from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_doorbell import PostgresDoorbell
from outboxrelay.adapters.postgres_poison import PostgresPoison
from outboxrelay.adapters.postgres_renewal import PostgresRenewal
from outboxrelay.adapters.postgres_retention import PostgresRetention
from outboxrelay.adapters.postgres_source import PostgresQueue, PostgresSettler, PostgresSource
from outboxrelay.adapters.renewable_credentials import RenewableCredentials
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.relay import endpoints
from outboxrelay.relay.assembly import Outside, assemble

if TYPE_CHECKING:
    from outboxrelay.relay.ports import RowSettler, RowSource

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
        files, self.stop = DirectoryCredentials(options.credentials), asyncio.Event()
        database = spec.source.database
        credentials = RenewableCredentials(files, database.secret_references, partial(place_of, database))
        control = PostgresControl(
            database, manifest.identity.uid, credentials, f"outboxrelay {manifest.identity} control"
        )
        self.source: RowSource
        self.settler: RowSettler
        if spec.ordering.mode == "None":
            self.source = self.settler = queue = PostgresQueue(manifest, credentials)
            lanes = [queue.lane]
        else:
            self.source = source = PostgresSource(manifest, credentials)
            self.settler = settler = PostgresSettler(manifest, credentials, source)
            lanes = [source.lane, settler.lane]
        logins = RenewableCredentials(files, spec.target.secret_references)
        self.publisher = KafkaPublisher(spec, Mapper(spec), logins)
        self.retention = PostgresRetention(manifest, credentials)
        self.source_credentials = PostgresRenewal(credentials, control, *lanes)
        self.target_credentials = KafkaRenewal(spec.target, logins, self.publisher)
        outside = Outside(
            source=self.source,
            settler=self.settler,
            publisher=self.publisher,
            control=control,
            store=PostgresPoison(control, manifest),
            doorbell=PostgresDoorbell(control, spec.source.table),
            retention=self.retention,
            source_credentials=self.source_credentials,
            target_credentials=self.target_credentials,
            clock=SystemClock(),
        )
        self.process = assemble(outside, manifest, options.member, self.stop)

    def routes(self) -> Mapping[str, Route]:
        """What is served."""
        process = self.process
        return {
            "/livez": lambda: _reply(endpoints.livez(process.beats)),
            "/readyz": lambda: _reply(endpoints.readyz(process.missing)),
            "/state": lambda: _reply(endpoints.state(process.report())),
            "/metrics": lambda: _reply(endpoints.metrics(process.scrape())),
        }

    async def close(self) -> None:
        """Give every connection up."""
        await self.source_credentials.close()
        await self.target_credentials.close()
        await self.source.close()
        await self.settler.close()
        await self.retention.close()
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
        relay.process.ownership.changed.set()
        received.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    await received.wait()


def _reply(answer: endpoints.Answer) -> Reply:
    return Reply(body=answer.body, status=answer.status, content_type=answer.content_type)
