"""A whole relay process on fakes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.report import RelayReport
from outboxrelay.decisions.retries import BackoffPolicy
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

from .fake_clock import FakeClock
from .fake_control import FakeControl, FakeLocks
from .fake_publisher import FakePublisher
from .fake_source import FakeSource

SHARDS = 4
POLICY = BackoffPolicy(initial=0.2, maximum=15, multiplier=2)


@dataclass
class FakeRelay:
    """``async with FakeRelay().running():``. Relays that share source, publisher and locks share one table."""

    source: FakeSource = field(default_factory=FakeSource)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    locks: FakeLocks = field(default_factory=FakeLocks)
    batch: int = 10
    state: str = "Running"

    def __post_init__(self) -> None:
        table, target = {"name": "outbox"}, {"bootstrapServers": ["k:1"], "topic": "t", "protocol": "PLAINTEXT"}
        database = {"uriSecretRef": {"name": "db", "key": "uri"}}
        spec = {
            "state": self.state,
            "source": {"database": database, "table": table, "read": {"batchSize": self.batch}},
            "target": target,
            "ordering": {"shards": SHARDS},
        }
        head = {"apiVersion": "outboxrelay.dev/v1alpha1", "kind": "OutboxRelay", "metadata": {"name": "orders"}}
        self.manifest = parse_manifest({**head, "spec": spec})
        self.control = FakeControl(self.locks)
        self.stop = asyncio.Event()
        self.clock = FakeClock()
        self.beats, self.metrics, self.held = Beats(self.clock), Metrics(), HeldKeys()
        self.ownership = Ownership(SHARDS)

    def build(self) -> RelayProcess:
        """Wire it as relay.app does; needs the running loop."""
        source_health, target_health = HealthTracker(self.clock), HealthTracker(self.clock)
        self.circuit = Circuit(self.publisher, POLICY, target_health, self.metrics, self.clock)
        self.reader = Reader(self.source, self.ownership, self.held, self.manifest.spec.source.read, self.clock)
        progress = Progress(self.metrics, self.clock)
        self.settler = Settler(self.source)
        taking = self.manifest.spec.state == "Running"
        membership = Membership(self.control, self.ownership, taking, self.beats, self.clock)
        pump = Pump(
            source=self.source,
            publisher=self.publisher,
            circuit=self.circuit,
            settler=self.settler,
            ownership=self.ownership,
            held=self.held,
            reader=self.reader,
            progress=progress,
            policy=POLICY,
            health=source_health,
            beats=self.beats,
            clock=self.clock,
            stop=self.stop,
        )
        return RelayProcess(
            Parts(
                manifest=self.manifest,
                member_name="relay-0",
                source=self.source,
                source_health=source_health,
                target_health=target_health,
                circuit=self.circuit,
                membership=membership,
                ownership=self.ownership,
                session=Session(membership, pump, self.circuit, self.reader, self.held),
                reader=self.reader,
                held=self.held,
                progress=progress,
                metrics=self.metrics,
                beats=self.beats,
                clock=self.clock,
                policy=POLICY,
                stop=self.stop,
            )
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeRelay"]:
        """The process runs inside the block; at its end it is stopped in order and must not have failed."""
        self.process = self.build()
        self.task = asyncio.create_task(self.process.run())
        try:
            yield self
            await self.end()
        finally:
            self.task.cancel()
            await asyncio.wait({self.task})

    async def end(self) -> None:
        """Stop in order; raises what the process raised."""
        self.stop.set()
        self.ownership.changed.set()
        self.publisher.hanging = False
        async with asyncio.timeout(60):
            await self.task

    @property
    def report(self) -> RelayReport:
        """What /state says."""
        return self.process.report()

    async def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait, in virtual time, until ``condition`` holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.05)
