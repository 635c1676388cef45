"""A whole relay process on fakes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.report import RelayReport
from outboxrelay.relay.assembly import Outside, assemble
from outboxrelay.relay.process import RelayProcess

from .fake_clock import FakeClock
from .fake_control import FakeControl, FakeLocks
from .fake_credentials import FakeCredentials
from .fake_doorbell import FakeDoorbell
from .fake_poison import FakePoison
from .fake_publisher import FakePublisher
from .fake_retention import FakeRetention
from .fake_source import FakeSource

SHARDS = 4


@dataclass
class FakeRelay:
    """``async with FakeRelay().running():``. Relays that share source, publisher and locks share one table."""

    source: FakeSource = field(default_factory=FakeSource)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    locks: FakeLocks = field(default_factory=FakeLocks)
    batch: int = 10
    state: str = "Running"
    store: FakePoison | None = None
    """What the database remembers; relays of one table share one."""
    ordering: dict[str, Any] = field(default_factory=dict)
    poison: dict[str, Any] = field(default_factory=dict)
    flow: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        table, target = {"name": "outbox"}, {"bootstrapServers": ["k:1"], "topic": "t", "protocol": "PLAINTEXT"}
        target |= self.target
        if "topicTemplate" in target:
            del target["topic"]
        database = {"uriSecretRef": {"name": "db", "key": "uri"}}
        spec = {
            "state": self.state,
            "source": {"database": database, "table": table, "read": {"batchSize": self.batch}},
            "target": target,
            "ordering": {"shards": SHARDS} | self.ordering,
            "poison": self.poison,
            "flow": self.flow,
        }
        head = {"apiVersion": "outboxrelay.dev/v1alpha1", "kind": "OutboxRelay", "metadata": {"name": "orders"}}
        self.manifest = parse_manifest({**head, "spec": spec})
        self.control = FakeControl(self.locks)
        self.stop = asyncio.Event()
        self.clock = FakeClock()
        self.store = self.store or FakePoison(self.source)
        self.doorbell = FakeDoorbell()
        self.logins = {"source": FakeCredentials(), "target": FakeCredentials()}

    def build(self) -> RelayProcess:
        """Wire it as relay.app does; needs the running loop."""
        assert self.store is not None
        return assemble(
            Outside(
                source=self.source,
                settler=self.source,
                publisher=self.publisher,
                control=self.control,
                store=self.store,
                doorbell=self.doorbell,
                retention=FakeRetention(),
                source_credentials=self.logins["source"],
                target_credentials=self.logins["target"],
                clock=self.clock,
            ),
            self.manifest,
            "relay-0",
            self.stop,
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
        self.process.ownership.changed.set()
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
