"""What a relay process is made of, whatever is outside: the real servers, or the fakes of the tests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.decisions.poison import retry_delay
from outboxrelay.decisions.retries import BackoffPolicy
from outboxrelay.relay.beats import Beats
from outboxrelay.relay.careful import Careful
from outboxrelay.relay.circuit import Circuit
from outboxrelay.relay.flow import Flow
from outboxrelay.relay.health import HealthTracker
from outboxrelay.relay.held import HeldKeys
from outboxrelay.relay.lanes import TopicLanes
from outboxrelay.relay.membership import Membership
from outboxrelay.relay.metrics import Metrics
from outboxrelay.relay.ownership import Ownership
from outboxrelay.relay.poison import PoisonRows
from outboxrelay.relay.ports import (
    Clock,
    ControlSession,
    Doorbell,
    PoisonStore,
    Publisher,
    Renewal,
    RowSettler,
    RowSource,
)
from outboxrelay.relay.process import Parts, RelayProcess
from outboxrelay.relay.progress import Progress
from outboxrelay.relay.pump import Pump
from outboxrelay.relay.pump_parts import PumpParts
from outboxrelay.relay.reader import Reader
from outboxrelay.relay.renewal import Renewals
from outboxrelay.relay.rest import Rest
from outboxrelay.relay.retention import Housekeeper, Retention
from outboxrelay.relay.session import Session
from outboxrelay.relay.settler import Settler


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The ports of one process, filled."""

    source: RowSource
    settler: RowSettler
    publisher: Publisher
    control: ControlSession
    store: PoisonStore
    doorbell: Doorbell
    retention: Retention
    source_credentials: Renewal
    target_credentials: Renewal
    clock: Clock


def assemble(outside: Outside, manifest: RelayManifest, member: str, stop: asyncio.Event) -> RelayProcess:
    """One process, wired; it ends when ``stop`` is set."""
    spec, clock, publisher, source = manifest.spec, outside.clock, outside.publisher, outside.source
    policy = backoff_policy(manifest)
    beats, metrics, ownership = Beats(clock), Metrics(), Ownership(spec.ordering.shards)
    source_health, target_health = HealthTracker(clock), HealthTracker(clock)
    held = HeldKeys(_delay(manifest), strict=spec.ordering.mode == "Strict")
    lanes = TopicLanes(publisher, policy, clock)
    circuit = Circuit(publisher, policy, target_health, metrics, clock)
    shared = spec.ordering.mode == "None"
    reader = Reader(source, ownership, held, lanes, spec.source.read, clock, shared=shared)
    progress = Progress(metrics, clock)
    flow = Flow(spec.flow, clock)
    membership = Membership(outside.control, ownership, manifest.spec, beats, clock)
    careful = Careful(outside.store, ownership, spec.poison.max_attempts, spec.source.read.batch_size)
    poison = PoisonRows(
        policy=spec.poison, store=outside.store, held=held, publisher=publisher, metrics=metrics, clock=clock
    )
    renewals = Renewals(outside.source_credentials, outside.target_credentials, ownership, metrics, clock)
    rest = Rest(outside.doorbell, ownership, spec.source.read, clock)
    settler = Settler(outside.settler, clock)
    pump = Pump(
        PumpParts(
            source=source,
            publisher=publisher,
            circuit=circuit,
            settler=settler,
            ownership=ownership,
            held=held,
            lanes=lanes,
            poison=poison,
            careful=careful,
            reader=reader,
            flow=flow,
            rest=rest,
            renewals=renewals,
            progress=progress,
            ordering=spec.ordering,
            policy=policy,
            health=source_health,
            beats=beats,
            clock=clock,
            stop=stop,
        )
    )
    session = Session(
        membership=membership,
        pump=pump,
        circuit=circuit,
        reader=reader,
        held=held,
        lanes=lanes,
        careful=careful,
        poison=poison,
        rest=rest,
        settler=settler,
        store=outside.store,
    )
    return RelayProcess(
        Parts(
            manifest=manifest,
            member_name=member,
            source=source,
            publisher=publisher,
            source_health=source_health,
            target_health=target_health,
            circuit=circuit,
            membership=membership,
            ownership=ownership,
            session=session,
            reader=reader,
            held=held,
            lanes=lanes,
            poison=poison,
            flow=flow,
            rest=rest,
            settler=settler,
            renewals=renewals,
            housekeeper=Housekeeper(outside.retention, spec.source.table, ownership, clock),
            progress=progress,
            metrics=metrics,
            beats=beats,
            clock=clock,
            policy=policy,
            stop=stop,
        )
    )


def backoff_policy(manifest: RelayManifest) -> BackoffPolicy:
    """The waits that the spec asks for, in seconds."""
    retry = manifest.spec.retry
    return BackoffPolicy(
        initial=retry.initial_backoff_milliseconds / 1000,
        maximum=float(retry.max_backoff_seconds),
        multiplier=retry.multiplier_percent / 100,
    )


def _delay(manifest: RelayManifest) -> Callable[[int], float]:
    poison = manifest.spec.poison
    return lambda attempts: retry_delay(poison.action, attempts)
