"""What one run happens on: a database, topics, the oracle, and a few machines with a relay on each."""

from __future__ import annotations

import asyncio
import functools
import itertools
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from tests.support.oracle import Oracle, OutboxTable
from tests.support.relay_line import FAST_RETRY
from tests.support.relay_process import manifest

from .host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from .broker import Broker
    from .plan import Plan
    from .postgres_pair import Pair

MOST_BYTES = 20_000
"""Of a record, until the topic is mended."""
POISON_BYTES = 30_000
ATTEMPTS = 2


class Stage:
    """``async with Stage(plan, pair, broker, folder) as stage:``; all of it is gone afterwards but the logs."""

    def __init__(self, plan: Plan, pair: Pair, broker: Broker, folder: Path) -> None:
        self.plan = plan
        self.pair = pair
        self.broker = broker
        self.servers = broker.servers
        self.folder = folder
        self.name = f"chaos_{uuid.uuid4().hex[:8]}"
        self.topic = self.name.replace("_", "-")
        self.dead_topic = f"{self.topic}.dead"
        self.hosts: list[Host] = []
        self.gone: list[Host] = []
        self.poison: set[str] = set()
        """Event ids of rows that the topic does not take."""
        self.database = asyncio.Lock()
        """Held by who breaks PostgreSQL, until it is whole again; ``brokers`` likewise."""
        self.brokers = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._stack = AsyncExitStack()
        setting = plan.setting
        self.oracle = Oracle(
            pair.uri(self.name, options="&target_session_attrs=read-write"),
            self.servers,
            self.topic,
            table=OutboxTable(keyed=setting.mode != "None"),
            keys=setting.keys,
            seed=plan.seed,
        )

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.pair.primary.sql, f"CREATE DATABASE {self.name}")
        # The oracle asks both servers which one takes writes, and must find the database on each.
        await asyncio.to_thread(self.pair.agree)
        await self._create_topics()
        await self._stack.enter_async_context(self.oracle)
        await self.oracle.writer.create_table()
        session: Any = await self.connect()
        await session.execute(printed_sql(doorbell=self.plan.setting.doorbell))
        await session.close()
        for _ in range(self.plan.setting.members):
            await self.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(host.__aexit__() for host in self.hosts))
        await self._stack.aclose()
        await asyncio.to_thread(self.pair.primary.sql, f"DROP DATABASE {self.name} WITH (FORCE)")
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        for future in client.delete_topics([self.topic, self.dead_topic]).values():
            await asyncio.to_thread(future.result, 30)

    async def connect(self) -> Any:
        """A session of an administrator's."""
        return await asyncpg.connect(self.pair.uri(self.name, options="&target_session_attrs=read-write"), timeout=20)

    async def join(self) -> None:
        """One more relay, on a machine of its own."""
        uri = self.pair.uri(self.name)
        host = Host(self.broker.job, next(self._numbers), self.folder, self.manifest(), uri)
        await host.__aenter__()
        self.hosts.append(host)

    async def leave(self, host: Host) -> None:
        """``host`` is stopped in order and does not come back."""
        self.hosts.remove(host)
        self.gone.append(host)
        await host.stop()
        await host.__aexit__()

    def manifest(self) -> dict[str, Any]:
        """The OutboxRelay of this run."""
        setting = self.plan.setting
        poison: dict[str, Any] = {"action": setting.poison, "maxAttempts": ATTEMPTS}
        if setting.poison == "DeadLetterTopic":
            poison["deadLetterTopic"] = self.dead_topic
        return manifest(
            table="outbox",
            topic=self.topic,
            servers=self.servers,
            name="chaos",
            source={
                "table": {"afterDelivery": setting.after_delivery},
                "read": {"batchSize": setting.batch_size, "visibility": setting.visibility},
            },
            target={"deliveryTimeoutSeconds": 4},
            ordering={"mode": setting.mode, "shards": setting.shards, "inFlightPerKey": setting.in_flight_per_key},
            poison=poison,
            retry=FAST_RETRY,
        )

    async def mend(self) -> None:
        """The topic takes large records from now on."""
        resource = ConfigResource(
            ResourceType.TOPIC,
            self.topic,
            incremental_configs=[
                ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
            ],
        )
        # A client of its own: one that lived through the broker's restarts may wait for an answer for ever.
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        for future in client.incremental_alter_configs([resource]).values():
            await asyncio.to_thread(future.result, 30)

    async def _create_topics(self) -> None:
        partitions = 1 if self.plan.setting.mode == "Strict" else 3
        topics = [
            NewTopic(self.topic, partitions, 1, config={"max.message.bytes": str(MOST_BYTES)}),
            NewTopic(self.dead_topic, 1, 1),
        ]
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        for future in client.create_topics(topics).values():
            await asyncio.to_thread(future.result, 30)


@functools.cache
def printed_sql(*, doorbell: bool) -> str:
    """What a database administrator would run for the relay."""
    parts = ["schema", "archive", *(["doorbell"] if doorbell else [])]
    command = [sys.executable, "-m", "outboxrelay", "sql", "--table", "public.outbox"]
    for part in parts:
        command += ["--part", part]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
