"""What a fleet of relays lives on: databases whose rows come and go, pods that answer, a database that hangs.

The API server, PostgreSQL and Kafka are the real ones. Pods are objects without a process: they have an address of the
loopback network each, and one server behind all of them says at /state what a relay would.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from aiohttp import web

from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.names import LABEL_RELAY, RELAY_PORT, child_name
from outboxrelay.api.report import Delivery, Health, RelayReport, Shards
from outboxrelay.manifests.kinds import DEPLOYMENT, POD, RELAY, SECRET
from tests.benchmarks import servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from outboxrelay.adapters.kube_objects import KubeObjects

RELAYS_OF_A_DATABASE = 10
NAMESPACES = 5
TOPICS = 10
MOVE_SECONDS = 3.0
"""The rows of each table are replaced that often, so that every look finds another number."""
WRITERS = 16
"""Requests at the same time that set the scene up."""
CREATE = """
CREATE TABLE {name} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid DEFAULT gen_random_uuid(),
  aggregate_id text, event_type text, payload jsonb, created_at timestamptz DEFAULT now())
"""
MOVE = "DELETE FROM {name}; INSERT INTO {name} (aggregate_id, payload) SELECT 'k', '1' FROM generate_series(1, {rows})"


class Member(NamedTuple):
    """One relay of the fleet."""

    namespace: str
    name: str
    table: str
    secret: str
    address: str
    """Of its pod."""


def fleet(size: int) -> list[Member]:
    """The members; the last one's database hangs."""
    found = []
    for number in range(size):
        database = number // RELAYS_OF_A_DATABASE
        secret = f"db-{database}" if number < size - 1 else "hung"
        address = f"127.1.{number // 250}.{number % 250 + 1}"
        name, table = f"relay-{number:03}", f"outbox_{number % RELAYS_OF_A_DATABASE}"
        found.append(Member(f"fleet-{number % NAMESPACES}", name, table, secret, address))
    return found


@asynccontextmanager
async def databases(members: Sequence[Member]) -> AsyncIterator[dict[str, str]]:
    """URIs by Secret: a database for ten relays each, whose tables never stand still, and one that never answers."""
    async with AsyncExitStack() as stack:
        uris = {}
        movers = await stack.enter_async_context(asyncio.TaskGroup())
        for secret in dict.fromkeys(member.secret for member in members if member.secret != "hung"):
            uris[secret] = await stack.enter_async_context(servers.database())
            session: Any = await asyncpg.connect(uris[secret])
            stack.push_async_callback(session.close)
            tables = [member.table for member in members if member.secret == secret]
            for table in tables:
                await session.execute(CREATE.format(name=table))
            await session.execute("SET synchronous_commit = off")
            task = movers.create_task(_move(session, tables))
            stack.callback(task.cancel)
        hung = await asyncio.start_server(_swallow, "127.0.0.1", 0)
        stack.callback(hung.close)
        port = hung.sockets[0].getsockname()[1]
        yield uris | {"hung": f"postgresql://u:p@127.0.0.1:{port}/hung?sslmode=disable"}


async def _move(session: Any, tables: Sequence[str]) -> None:
    for table in itertools.cycle(tables):
        await session.execute(MOVE.format(name=table, rows=random.randint(1, 30)))
        await asyncio.sleep(MOVE_SECONDS / len(tables))


async def _swallow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def topics() -> AsyncIterator[list[str]]:
    """Some topics that the relays share."""
    names = [servers.create_topic(1) for _ in range(TOPICS)]
    try:
        yield names
    finally:
        servers.delete_topic(*names)


class Pods:
    """The server behind every pod's address."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = {member.address: member for member in members}
        self._started = datetime.now(UTC)
        self.uids: dict[tuple[str, str], str] = {}
        self._rows: dict[str, int] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """While it listens."""
        application = web.Application()
        application.router.add_get("/state", self._state)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", RELAY_PORT).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _state(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        member = self._members[request.transport.get_extra_info("sockname")[0]]
        uid = self.uids.get((member.namespace, member.name), "")
        rows = self._rows[member.name] = self._rows.get(member.name, 0) + random.randint(50, 150)
        now = datetime.now(UTC)
        well = Health(healthy=True, reason="Connected")
        report = RelayReport(
            identity=RelayIdentity(namespace=member.namespace, name=member.name, uid=uid),
            version="bench",
            member=pod_name(member),
            started_at=self._started,
            observed_at=now,
            state="Running",
            ready=True,
            shards=Shards(total=16, owned=list(range(16)), members=1),
            source=well,
            target=well,
            delivery=Delivery(
                rows_total=rows,
                rows_per_second=random.uniform(10, 30),
                busy_share=random.uniform(0.1, 0.3),
                full_share=0.0,
                last_delivered_at=now,
                last_read_at=now,
            ),
            held={"keys": 0},  # type: ignore[arg-type]
        )
        return web.Response(text=report.model_dump_json(by_alias=True), content_type="application/json")


def pod_name(member: Member) -> str:
    """The name of its only pod."""
    return f"{child_name(member.name)}-0"


async def declare(objects: KubeObjects, members: Sequence[Member], uris: dict[str, str], names: Sequence[str]) -> None:
    """Create every Secret and every OutboxRelay."""
    places = dict.fromkeys((member.namespace, member.secret) for member in members)
    await _all(
        objects.create(
            SECRET,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"namespace": namespace, "name": secret},
                "stringData": {"uri": uris[secret]},
            },
        )
        for namespace, secret in places
    )
    await _all(
        objects.create(RELAY, _relay(member, names[number % len(names)])) for number, member in enumerate(members)
    )


def _relay(member: Member, topic: str) -> dict[str, Any]:
    uri = {"name": member.secret, "key": "uri"}
    return {
        "apiVersion": RELAY.api_version,
        "kind": RELAY.kind,
        "metadata": {"namespace": member.namespace, "name": member.name},
        "spec": {
            "source": {"database": {"uriSecretRef": uri}, "table": {"name": member.table}},
            "target": {"bootstrapServers": servers.KAFKA.split(","), "topic": topic, "protocol": "PLAINTEXT"},
        },
    }


async def run_pods(objects: KubeObjects, members: Sequence[Member]) -> None:
    """A pod for each Deployment, both said to be ready: what controllers, scheduler and kubelet would bring about."""
    await _all(_run_pod(objects, member) for member in members)


async def _run_pod(objects: KubeObjects, member: Member) -> None:
    name = child_name(member.name)
    deployment = await objects.get(DEPLOYMENT, member.namespace, name)
    assert deployment is not None
    template = deployment["spec"]["template"]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "namespace": member.namespace, "name": pod_name(member)},
        "spec": template["spec"],
    }
    assert LABEL_RELAY in body["metadata"]["labels"]
    await objects.create(POD, body)
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    running = {"phase": "Running", "podIP": member.address, "podIPs": [{"ip": member.address}], "conditions": [ready]}
    await objects.patch(POD, member.namespace, pod_name(member), {"status": running}, "status")
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1)
    status = {**counts, "observedGeneration": deployment["metadata"]["generation"]}
    await objects.patch(DEPLOYMENT, member.namespace, name, {"status": status}, "status")


async def _all(requests: Any) -> None:
    limit = asyncio.Semaphore(WRITERS)

    async def bounded(request: Any) -> None:
        async with limit:
            await request

    async with asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(bounded(request))
