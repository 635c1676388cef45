"""The thirteen faults whose detection is timed: how each comes, and how its cause goes."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from outboxrelay.api.names import PLURAL
from outboxrelay.decisions.sharding import lock_base
from tests.cluster import components, kafka, postgres
from tests.support import pod_processes
from tests.support.api_proxy import ApiProxy
from tests.support.line import Line
from tests.support.pod_ways import PodWays
from tests.support.release import Operator
from tests.support.stand import Stand
from tests.support.waiting import until

SHARDS = 16
LIMIT = 100_000
"""max.message.bytes of the topic that gets the poison row."""
MECHANISM = ScramMechanism.SCRAM_SHA_256
LOGIN = "kafka-login"


@dataclass
class Scene:
    """What the faults happen to, and what each must remember until its cause goes."""

    stand: Stand
    operator: Operator
    proxy: ApiProxy | None = None
    """Where the operator asks through one."""
    ways: PodWays = field(default_factory=PodWays)
    frozen: dict[str, int] = field(default_factory=dict)
    """uid of the pod → pid of its relay."""
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.stand.rig.kafka})

    async def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for task in self.tasks.values():
            task.cancel()
        for session in self.sessions.values():
            session.terminate()
        if self.proxy is not None:
            self.proxy.blind.clear()
        self.ways.close()
        for uid, pid in self.frozen.items():
            pod_processes.thaw(pid, uid)
        for start in (start_kafka, postgres.start, lambda: components.start("kubelet")):
            await asyncio.to_thread(start)


Step = Callable[[Scene, Line], Awaitable[object]]


@dataclass(frozen=True)
class TimedFault:
    """One fault."""

    name: str
    type: str
    """Of the incident that must tell of it."""
    inject: Step
    heal: Step
    line: str = ""
    """The relay that suffers it; empty where all do, or the operator does."""
    spec: Callable[[Line], dict[str, Any]] = lambda _: {}
    """What the relay's spec has beside the usual."""
    prepare: Step | None = None
    """What comes before the fault and is no fault yet."""


async def revoke(scene: Scene, line: Line) -> None:
    await scene.stand.sql(f"ALTER ROLE {line.role} NOLOGIN")
    await scene.stand.end_sessions(line)


async def grant(scene: Scene, line: Line) -> None:
    await scene.stand.sql(f"ALTER ROLE {line.role} LOGIN")


def sasl(line: Line) -> dict[str, Any]:
    servers = os.environ["OUTBOXRELAY_KAFKA_SASL_PLAINTEXT_SERVERS"]
    return {
        "target": {
            "bootstrapServers": [servers],
            "protocol": "SASL_PLAINTEXT",
            "saslMechanism": "SCRAM-SHA-256",
            "credentialsSecretRef": {"name": LOGIN},
        }
    }


async def let_in(scene: Scene, line: Line) -> None:
    """The broker's user for the line; its password is the database role's, and its Secret is made where it is not."""
    login = {"username": line.role, "password": line.password}
    metadata = {"name": LOGIN, "namespace": scene.stand.name}
    await scene.stand.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": login})
    change = UserScramCredentialUpsertion(line.role, ScramCredentialInfo(MECHANISM, 4096), line.password.encode())
    await asyncio.to_thread(scene.admin.alter_user_scram_credentials([change])[line.role].result, 20)


async def refuse(scene: Scene, line: Line) -> None:
    """The broker forgets the user, and its connections end: those that logged in before would go on."""
    deletion = UserScramCredentialDeletion(line.role, MECHANISM)
    await asyncio.to_thread(scene.admin.alter_user_scram_credentials([deletion])[line.role].result, 20)
    cut = ["ss", "--kill", "state", "established", "sport", f"= :{kafka.SASL_PLAINTEXT_PORT}"]
    process = await asyncio.create_subprocess_exec(*cut, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


async def delete_topic(scene: Scene, line: Line) -> None:
    await asyncio.to_thread(scene.admin.delete_topics([line.topic])[line.topic].result, 20)


async def create_topic(scene: Scene, line: Line) -> None:
    await scene.stand.create_topic(line)


async def insert_poison(scene: Scene, line: Line) -> None:
    await set_limit(scene, line, LIMIT)
    insert = f"INSERT INTO {line.table.qualified} (aggregate_id, event_type, payload) VALUES ('bad', 'Big', $1)"
    session: Any = await asyncpg.connect(scene.stand.uri)
    try:
        await session.execute(insert, f'"{os.urandom(2 * LIMIT).hex()}"')
    finally:
        await session.close()


async def raise_limit(scene: Scene, line: Line) -> None:
    await set_limit(scene, line, 20 * LIMIT)


async def set_limit(scene: Scene, line: Line, limit: int) -> None:
    await configure_topic(scene, line, "max.message.bytes", limit)


async def configure_topic(scene: Scene, line: Line, name: str, value: int) -> None:
    entry = ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, line.topic, incremental_configs=[entry])
    await asyncio.to_thread(scene.admin.incremental_alter_configs([resource])[resource].result, 20)


async def freeze_pods(scene: Scene, line: Line) -> None:
    for pod in await line.pods():
        uid = pod["metadata"]["uid"]
        scene.frozen[uid] = pod_processes.freeze(uid)


async def thaw_pods(scene: Scene, line: Line) -> None:
    for uid, pid in scene.frozen.items():
        pod_processes.thaw(pid, uid)
    scene.frozen.clear()


async def lose_node(scene: Scene, line: Line) -> None:
    """The kubelet and the relay's pods stop at once, as they do with their node; the one node has other pods too."""
    await freeze_pods(scene, line)
    await asyncio.to_thread(components.kill, "kubelet")


async def recover_node(scene: Scene, line: Line) -> None:
    await thaw_pods(scene, line)
    await asyncio.to_thread(components.start, "kubelet")


async def crash(scene: Scene, line: Line) -> None:
    """The relay ends as soon as it has begun, each time."""
    (pod,) = await line.pods()
    uid = pod["metadata"]["uid"]

    async def again_and_again() -> None:
        while True:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                pod_processes.kill(uid)
            await asyncio.sleep(0.3)

    scene.tasks[line.name] = asyncio.create_task(again_and_again(), name="crash loop")


async def stop_crashing(scene: Scene, line: Line) -> None:
    scene.tasks.pop(line.name).cancel()


async def queue_for_shards(scene: Scene, line: Line) -> None:
    """A session that nobody remembers waits for the locks of every shard."""
    uid = (await scene.stand.kubectl.get(PLURAL, line.name))["metadata"]["uid"]
    settings = {"application_name": "a forgotten relay"}
    session: Any = await asyncpg.connect(scene.stand.uri, server_settings=settings)
    scene.sessions[line.name] = session
    locks = f"SELECT pg_advisory_lock($1::bigint + slot) FROM generate_series(0, {SHARDS - 1}) AS slot"
    scene.tasks[line.name] = asyncio.create_task(_taken(session, locks, lock_base(uid)))
    queued = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted"
    await until(lambda: scene.stand.value(queued, session.get_server_pid()), "session that waits for the locks", 10)


async def _taken(session: Any, locks: str, base: int) -> None:
    await session.fetch(locks, base)


async def take_shards(scene: Scene, line: Line) -> None:
    """It gets them all: the relay is well in every way, and has nothing to do."""
    owner = """SELECT count(pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity
               USING (pid) WHERE usename = $1 AND locktype = 'advisory' AND granted) AS owners"""
    assert await scene.stand.value(owner, line.role) >= 1
    await asyncio.wait_for(scene.tasks.pop(line.name), 10)


async def end_session(scene: Scene, line: Line) -> None:
    """What it held is free again."""
    await scene.sessions.pop(line.name).close()


async def kill_leader(scene: Scene, line: Line) -> None:
    """At once, and so that no new process comes back under its name: the standby must wait for the Lease."""
    pod = await scene.operator.leading_pod()
    pod_processes.kill(pod["metadata"]["uid"])
    await scene.operator.kubectl.run("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")


async def cut_watch(scene: Scene, line: Line) -> None:
    """The leader's watch of OutboxRelays stays open and says nothing more; then somebody changes a relay."""
    assert scene.proxy is not None
    pod = await scene.operator.leading_pod()
    scene.proxy.blind.add(pod["status"]["podIP"])
    change = f'{{"spec":{{"objectives":{{"maxLagSeconds":{31 + uuid.uuid4().int % 20}}}}}}}'
    await scene.stand.kubectl.run("patch", PLURAL, line.name, "--type=merge", "-p", change)


async def restore_watch(scene: Scene, line: Line) -> None:
    assert scene.proxy is not None
    scene.proxy.blind.clear()


async def nothing(scene: Scene, line: Line) -> None:
    """The cause went with the fault."""


def server(act: Callable[[], None]) -> Step:
    """A step that does something to a server that all use."""

    async def step(scene: Scene, line: Line) -> None:
        await asyncio.to_thread(act)

    return step


def start_kafka() -> None:
    kafka.start(120)


AT_ONCE = (
    TimedFault("broker refuses credentials", "BrokerAccessDenied", refuse, let_in, "refused", sasl),
    TimedFault("topic deleted", "TopicUnavailable", delete_topic, create_topic, "topicless"),
    TimedFault("credentials revoked", "DatabaseAccessDenied", revoke, grant, "revoked"),
    TimedFault("relay pod frozen (SIGSTOP)", "RelayUnresponsive", freeze_pods, thaw_pods, "frozen"),
    TimedFault("relay crash loop", "RelayCrashLooping", crash, stop_crashing, "crashing"),
    TimedFault("poison row", "PoisonRows", insert_poison, raise_limit, "poisoned"),
    TimedFault(
        "no progress without an error", "NoProgress", take_shards, end_session, "stuck", prepare=queue_for_shards
    ),
)
"""Each happens to a relay of its own, all at the same time."""
LEADER_KILLED = TimedFault("operator's leader killed", "OperatorFailover", kill_leader, nothing)
BROKER_STOPPED = TimedFault("broker stopped", "BrokerUnavailable", server(kafka.stop), server(start_kafka))
DATABASE_STOPPED = TimedFault("database stopped", "DatabaseUnavailable", server(postgres.stop), server(postgres.start))
WATCH_CUT = TimedFault("operator's watch cut", "OperatorFailover", cut_watch, restore_watch)
DATABASE_HUNG = TimedFault(
    "database hung (SIGSTOP)", "DatabaseUnavailable", server(postgres.freeze), server(postgres.thaw)
)
NODE_GONE = TimedFault("node gone (kubelet stopped)", "RelayUnresponsive", lose_node, recover_node, "orders")
FAULTS = (
    BROKER_STOPPED,
    AT_ONCE[0],
    AT_ONCE[1],
    DATABASE_STOPPED,
    DATABASE_HUNG,
    *AT_ONCE[2:6],
    NODE_GONE,
    AT_ONCE[6],
    LEADER_KILLED,
    WATCH_CUT,
)
"""In the order in which they are told of."""
