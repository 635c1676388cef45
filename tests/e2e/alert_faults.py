"""A real fault for each type of incident, so that its alert fires: the timed faults, and one for each other type."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from outboxrelay.api.incidents import IncidentType
from tests.cluster import certificates, components, paths
from tests.e2e.pod_faults import hide_from_operator, show_again, start_unseen
from tests.e2e.timed_faults import (
    AT_ONCE,
    BROKER_STOPPED,
    DATABASE_STOPPED,
    LEADER_KILLED,
    Scene,
    Step,
    TimedFault,
    configure_topic,
    end_session,
    insert_poison,
    let_in,
    nothing,
    raise_limit,
    server,
)
from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.merging import merged
from tests.support.printed_sql import piped
from tests.support.stand import Stand

Spec = Callable[[Line], dict[str, Any]]
IDLE = {"scaling": {"mode": "Manual", "replicas": 0}, "objectives": {"maxLagSeconds": 3600}}
"""A relay without a pod: the operator asks its database and its brokers all the same."""
RUNNING = merged(IDLE, {"scaling": {"replicas": 1}})
CHANGED = merged(RUNNING, {"template": {"annotations": {"example.com/change": "1"}}})
"""Pods of another template: Kubernetes has a deadline for a rollout, and none for more pods of the same."""
AUTHORITY = "authority"
BACKLOG = 3000
SLOWLY = 20
"""Rows a second, so that the backlog lasts for minutes."""


@dataclass(frozen=True)
class Case:
    """A fault, and what the test of alerts must know of it."""

    fault: TimedFault
    runs: bool = False
    """Whether its relay has a pod; without one the operator's own questions show the fault."""
    designed: float = 0.0
    """Seconds for which it must last by design before it counts; the minute begins then."""
    first: Step = nothing
    """What the relay needs before it is made."""

    def spec(self, line: Line) -> dict[str, Any]:
        """Of the relay before the fault."""
        return merged(RUNNING if self.runs else IDLE, self.fault.spec(line))


def by_sql(*statements: str) -> Step:
    """What an administrator of the database does; sessions of the relay and the operator end, as after a failover."""

    async def step(scene: Scene, line: Line) -> None:
        await scene.stand.sql(*(statement.format(line=line) for statement in statements))
        await scene.stand.end_sessions(line)

    return step


def by_spec(spec: Spec) -> Step:
    """What a user changes in an OutboxRelay that has no pod."""

    async def step(scene: Scene, line: Line) -> None:
        await line.apply(**merged(IDLE, spec(line)))

    return step


def of(**spec: Any) -> Spec:
    """The same for each line."""
    return lambda _: spec


def authority(stand: Stand) -> Object:
    """A Secret with the cluster's authority, and with a certificate that is none."""
    other, _ = certificates.ensure("other-authority", "other.rig.test")
    texts = {"ca": paths.CA_FILE.read_text(), "other": other.read_text()}
    metadata = {"name": AUTHORITY, "namespace": stand.name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": texts}


def database_trusts(key: str) -> Spec:
    return of(source={"database": {"caSecretRef": {"name": AUTHORITY, "key": key}}})


def broker_trusts(key: str) -> Spec:
    def spec(_: Line) -> dict[str, Any]:
        servers = os.environ["OUTBOXRELAY_KAFKA_SSL_SERVERS"].split(",")
        trusted = {"caSecretRef": {"name": AUTHORITY, "key": key}}
        return {"target": {"bootstrapServers": servers, "protocol": "SSL", **trusted}}

    return spec


async def ask_for_tls(scene: Scene, line: Line) -> None:
    secret = scene.stand.secret(line)
    secret["stringData"]["uri"] = secret["stringData"]["uri"].replace("sslmode=disable", "sslmode=verify-full")
    await scene.stand.kubectl.apply(secret)


async def delete_secret(scene: Scene, line: Line) -> None:
    await scene.stand.kubectl.run("delete", "secret", line.secret)


async def restore_secret(scene: Scene, line: Line) -> None:
    await scene.stand.create_secret(line)


async def want_two_replicas(scene: Scene, line: Line) -> None:
    """The one broker has one replica of everything."""
    await configure_topic(scene, line, "min.insync.replicas", 2)


async def want_one_replica(scene: Scene, line: Line) -> None:
    await configure_topic(scene, line, "min.insync.replicas", 1)


async def hold_open(scene: Scene, line: Line) -> None:
    """A transaction that began to write and that nobody remembers."""
    settings = {"application_name": "a forgotten transaction"}
    session: Any = await asyncpg.connect(scene.stand.uri, server_settings=settings)
    scene.sessions[line.name] = session
    await session.execute("BEGIN; SELECT pg_current_xact_id()")


async def fill(scene: Scene, line: Line) -> None:
    await scene.stand.sql(
        f"INSERT INTO {line.table.qualified} (aggregate_id, event_type, payload) "
        f"SELECT 'key ' || i % 50, 'E', '1' FROM generate_series(1, {BACKLOG}) AS i"
    )


async def make_quarantine(scene: Scene, line: Line) -> None:
    """What `outboxrelay sql` prints, and the right to move rows there."""
    await asyncio.to_thread(piped, scene.stand.uri, "--table", line.table.name, "--role", line.role)
    await scene.stand.sql(f"GRANT INSERT ON outboxrelay.quarantine TO {line.role}")


async def empty_quarantine(scene: Scene, line: Line) -> None:
    await raise_limit(scene, line)
    drop = ("quarantine", "drop", "--all", "--relay", f"{scene.stand.name}/{line.name}")
    environment = {**os.environ, "OUTBOXRELAY_DATABASE_URI": scene.stand.uri}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "outboxrelay", *drop, env=environment)
    assert await process.wait() == 0


TIMED = {fault.type: fault for fault in AT_ONCE}
FULL = {"action": "Quarantine", "maxAttempts": 1, "maxQuarantinedRows": 1}
NO_SPACE = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no space left'; END$$"
REFUSE = "CREATE TRIGGER refuse BEFORE DELETE ON {line.table.qualified} FOR EACH ROW EXECUTE FUNCTION refuse()"
OF_A_DATABASE = (
    Case(TimedFault("wrong authority for the database", IncidentType.DATABASE_TLS_FAILED,
        by_spec(database_trusts("other")), by_spec(database_trusts("ca")), "suspicious", database_trusts("ca")),
        first=ask_for_tls),
    Case(TimedFault("role without a connection left", IncidentType.DATABASE_CONNECTIONS_EXHAUSTED,
        by_sql("ALTER ROLE {line.role} CONNECTION LIMIT 0"), by_sql("ALTER ROLE {line.role} CONNECTION LIMIT -1"),
        "exhausted")),
    Case(TIMED[IncidentType.DATABASE_ACCESS_DENIED]),
    Case(TimedFault("role set to read only", IncidentType.DATABASE_READ_ONLY,
        by_sql("ALTER ROLE {line.role} SET default_transaction_read_only = on"),
        by_sql("ALTER ROLE {line.role} RESET default_transaction_read_only"), "readonly")),
    Case(TimedFault("trigger that raises", IncidentType.DATABASE_ERRORS,
        by_sql(NO_SPACE, REFUSE), by_sql("DROP TRIGGER refuse ON {line.table.qualified}"), "failing"), runs=True),
    Case(TimedFault("table renamed", IncidentType.TABLE_UNUSABLE,
        by_sql("ALTER TABLE {line.table.qualified} RENAME TO renamed"),
        by_sql("ALTER TABLE renamed RENAME TO {line.table.name}"), "tableless")),
    Case(TimedFault("transaction forgotten", IncidentType.TRANSACTION_HELD_OPEN, hold_open, end_session, "waiting"),
        runs=True, designed=20),
)  # fmt: skip
OF_BROKERS = (
    Case(TimedFault("wrong authority for the brokers", IncidentType.BROKER_TLS_FAILED,
        by_spec(broker_trusts("other")), by_spec(broker_trusts("ca")), "distrustful", broker_trusts("ca"))),
    Case(TIMED[IncidentType.BROKER_ACCESS_DENIED], first=let_in),
    Case(TimedFault("min.insync.replicas above the replicas", IncidentType.NOT_ENOUGH_REPLICAS,
        want_two_replicas, want_one_replica, "lonely"), runs=True),
    Case(TIMED[IncidentType.TOPIC_UNAVAILABLE]),
)  # fmt: skip
OF_A_SPEC = (
    Case(TimedFault("Secret deleted", IncidentType.SECRET_MISSING, delete_secret, restore_secret, "secretless")),
    Case(TimedFault("toleration that Kubernetes refuses", IncidentType.SPEC_REFUSED,
        by_spec(of(template={"tolerations": [{"key": "zone", "operator": "Sometimes"}]})), by_spec(of()), "mistaken")),
)  # fmt: skip
OF_PODS = (
    Case(TIMED[IncidentType.RELAY_CRASH_LOOPING], runs=True),
    Case(TimedFault("image that does not exist", IncidentType.RELAY_IMAGE_PULL_FAILED,
        by_spec(of(scaling={"replicas": 1}, template={"image": "registry.rig.test/outboxrelay:none"})),
        by_spec(of()), "imageless")),
    Case(TimedFault("a thousand processors asked for", IncidentType.RELAY_UNSCHEDULABLE,
        by_spec(of(scaling={"replicas": 1}, template={"resources": {"requests": {"cpu": "1000"}}})),
        by_spec(of()), "greedy")),
    Case(TIMED[IncidentType.RELAY_UNRESPONSIVE], runs=True),
    Case(TimedFault("way from the operator to the pod cut", IncidentType.RELAY_UNREACHABLE,
        hide_from_operator, show_again, "hidden", of(flow={"maxRowsPerSecond": SLOWLY}), fill), runs=True),
    Case(TimedFault("new pod that is never ready", IncidentType.ROLLOUT_STALLED,
        start_unseen(CHANGED), show_again, "stalled"), designed=120),
)  # fmt: skip
OF_DELIVERY = (
    Case(TIMED[IncidentType.NO_PROGRESS], runs=True),
    Case(TimedFault("row that nobody delivers, objective 5 s", IncidentType.LAG_OBJECTIVE_MISSED,
        by_sql("INSERT INTO {line.table.qualified} (aggregate_id, event_type, payload) VALUES ('k', 'E', '1')"),
        by_sql("DELETE FROM {line.table.qualified}"), "late", of(objectives={"maxLagSeconds": 5}))),
    Case(TIMED[IncidentType.POISON_ROWS], runs=True),
    Case(TimedFault("poison row, quarantine for one", IncidentType.QUARANTINE_FULL,
        insert_poison, empty_quarantine, "full", of(poison=FULL)), runs=True, first=make_quarantine),
)  # fmt: skip
SIDE_BY_SIDE = (*OF_A_DATABASE, *OF_BROKERS, *OF_A_SPEC, *OF_PODS, *OF_DELIVERY)
"""Each happens to a relay of its own, all at the same time."""
OF_THE_NODE = Case(
    TimedFault("kubelet gone, pods go on", IncidentType.RELAY_NOT_READY,
        server(lambda: components.kill("kubelet")), server(lambda: components.start("kubelet")), "unwatched"),
    runs=True, designed=50,
)  # fmt: skip
"""Kubernetes gives a node 50 s before it calls its pods not ready."""
RELAYS = (*SIDE_BY_SIDE, OF_THE_NODE)
"""Those of them that have a relay."""
OF_ALL = (Case(DATABASE_STOPPED), Case(BROKER_STOPPED))
OF_THE_OPERATOR = Case(LEADER_KILLED)
CASES = (*RELAYS, *OF_ALL, OF_THE_OPERATOR)
