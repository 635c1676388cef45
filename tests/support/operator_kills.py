"""Killing the leading operator at random moments while specs change, and holding what comes of it against what was
declared.

Two controllers run as processes against the real API server, with a Lease of their own. In each round some relays are
created, scaled, edited, deleted or created anew under their old name, and meanwhile the leader is killed. It is started
again at once, as a container would be, or after the standby has taken over. Then everything must become as declared:
a Deployment has had no more templates than its spec, pods that nothing was changed for are the same pods, and objects
of others were not written.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outboxrelay.adapters.kube import KubeClient
from outboxrelay.adapters.kube_objects import KubeObjects
from outboxrelay.api.names import CONFIG_FILE, LABEL_RELAY, child_name
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import (
    CHILD_KINDS,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    LEASE,
    POD,
    RELAY,
    SECRET,
    SERVICE_ACCOUNT,
    ResourceKind,
)
from tests.support.controller_process import ControllerProcess, controller
from tests.support.relay_process import free_port

Object = dict[str, Any]

RELAYS = tuple(f"relay-{number}" for number in range(6))
TAKEN = "taken"
"""A relay whose Deployment's name somebody else has."""
REVISION = "deployment.kubernetes.io/revision"
CHANGING_SECONDS = 3.0
SETTLED_SECONDS = 150.0
"""A bound for what takes a Lease of 15 s, a start and a few looks on a machine that has nothing else to do."""


@dataclass(slots=True)
class Declared:
    """What was asked for of one relay, since it was created."""

    batch: int
    replicas: int
    uid: str = ""
    edits: int = 0
    """Changes of what its pods are made from."""
    scalings: int = 0


@dataclass(slots=True)
class Figures:
    """What was seen."""

    kills: int = 0
    changes: int = 0
    takeovers: int = 0
    seconds: list[float] = field(default_factory=list)
    """From each kill until all was as declared."""


class Disagreement(AssertionError):
    """What is there is not what was declared."""


class Pair:
    """Two operators and the relays of one namespace."""

    def __init__(self, client: KubeClient, namespace: str, folder: Path, seed: int) -> None:
        self._client = client
        self._objects = KubeObjects(client)
        self._namespace = namespace
        self._folder = folder
        self._random = random.Random(seed)
        self._declared: dict[str, Declared] = {}
        self._foreign: dict[tuple[str, str], str] = {}
        self._running: dict[str, tuple[ControllerProcess, AsyncExitStack]] = {}
        self.figures = Figures()

    async def run(self, kills: int) -> Figures:
        """That many rounds; raises Disagreement."""
        async with self._closing():
            await self._begin()
            for _ in range(kills):
                await self._round()
        return self.figures

    def logs(self) -> str:
        """The ends of what the operators logged."""
        return "\n".join(f"{file.name}:\n{file.read_text()[-3000:]}" for file in sorted(self._folder.glob("*.log")))

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for _, stack in self._running.values():
                await stack.aclose()

    async def _begin(self) -> None:
        uri = "postgresql://u:p@127.0.0.1:9/d?sslmode=disable"
        await self._create(SECRET, "orders-db", stringData={"uri": uri})
        await self._create(CONFIG_MAP, "foreign", data={"of": "somebody else"})
        await self._create(SERVICE_ACCOUNT, "foreign")
        await self._create(DEPLOYMENT, child_name(TAKEN), spec=foreign_deployment())
        await self._until(self._foreign_settled)
        places = ((SECRET, "orders-db"), (CONFIG_MAP, "foreign"), (DEPLOYMENT, child_name(TAKEN)))
        for kind, name in (*places, (SERVICE_ACCOUNT, "foreign")):
            found = await self._objects.get(kind, self._namespace, name)
            assert found is not None
            self._foreign[kind.kind, name] = found["metadata"]["resourceVersion"]
        await self._objects.create(RELAY, self._body(TAKEN, Declared(100, 1)))
        for name in RELAYS[:4]:
            await self._make(name)
        for identity in ("one", "two"):
            await self._start(identity)
        await self._until(self._as_declared)

    async def _round(self) -> None:
        leader = await self._leader()
        before = await self._pods()
        touched: set[str] = set()
        changes = asyncio.create_task(self._change(touched))
        await asyncio.sleep(self._random.uniform(0, CHANGING_SECONDS))
        process, stack = self._running.pop(leader)
        process.process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        self.figures.kills += 1
        await stack.aclose()
        if self._random.random() < 0.6:
            await asyncio.sleep(self._random.uniform(0, 2))
            await self._start(leader)
        await changes
        await self._until(self._as_declared)
        self.figures.seconds.append(time.monotonic() - killed)
        self.figures.takeovers += await self._leader() != leader
        if leader not in self._running:
            await self._start(leader)
        await self._check_pods(before, touched)

    async def _change(self, touched: set[str]) -> None:
        """A handful of changes, spread over a few seconds."""
        for _ in range(self._random.randint(3, 6)):
            await asyncio.sleep(self._random.uniform(0, CHANGING_SECONDS / 4))
            name = self._random.choice(RELAYS)
            touched.add(name)
            self.figures.changes += 1
            if name not in self._declared:
                await self._make(name)
                continue
            ways: list[Callable[[str], Awaitable[None]]] = [
                self._scale,
                self._edit,
                self._edit,
                self._drop,
                self._remake,
            ]
            await self._random.choice(ways)(name)

    async def _make(self, name: str) -> None:
        wanted = Declared(batch=self._random.randint(100, 999), replicas=self._random.randint(1, 2))
        made = await self._objects.create(RELAY, self._body(name, wanted))
        wanted.uid = made["metadata"]["uid"]
        self._declared[name] = wanted

    async def _scale(self, name: str) -> None:
        wanted = self._declared[name]
        wanted.replicas = 3 - wanted.replicas
        wanted.scalings += 1
        body = {"spec": {"scaling": {"replicas": wanted.replicas}}}
        await self._objects.patch(RELAY, self._namespace, name, body)

    async def _edit(self, name: str) -> None:
        wanted = self._declared[name]
        wanted.batch += 1
        wanted.edits += 1
        body = {"spec": {"source": {"read": {"batchSize": wanted.batch}}}}
        await self._objects.patch(RELAY, self._namespace, name, body)

    async def _drop(self, name: str) -> None:
        del self._declared[name]
        await self._client.request("DELETE", RELAY.path(self._namespace, name))

    async def _remake(self, name: str) -> None:
        await self._drop(name)
        await self._make(name)

    async def _create(self, kind: ResourceKind, name: str, **fields: Any) -> None:
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        await self._objects.create(kind, {**head, "metadata": {"namespace": self._namespace, "name": name}, **fields})

    def _body(self, name: str, wanted: Declared) -> Object:
        uri = {"name": "orders-db", "key": "uri"}
        read = {"batchSize": wanted.batch}
        return {
            "apiVersion": RELAY.api_version,
            "kind": RELAY.kind,
            "metadata": {"namespace": self._namespace, "name": name},
            "spec": {
                "source": {"database": {"uriSecretRef": uri}, "table": {"name": name.replace("-", "_")}, "read": read},
                "target": {"bootstrapServers": ["127.0.0.1:9"], "topic": "t", "protocol": "PLAINTEXT"},
                "scaling": {"replicas": wanted.replicas},
                # Its pods stay Pending: what is looked at is whether they are the same.
                "template": {"nodeSelector": {"no": "node"}},
            },
        }

    async def _start(self, identity: str) -> None:
        stack = AsyncExitStack()
        process = await stack.enter_async_context(
            controller(self._folder, self._namespace, port=free_port(), identity=identity, wait=False)
        )
        self._running[identity] = process, stack

    async def _leader(self) -> str:
        lease = await self._objects.get(LEASE, self._namespace, "outbox-relay-operator")
        holder = str(lease["spec"].get("holderIdentity")) if lease else ""
        return holder if holder in self._running else next(iter(self._running))

    async def _until(self, problem: Callable[[], Awaitable[str]]) -> None:
        """Wait until there is no problem any more."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while found := await problem():
            if time.monotonic() > deadline:
                raise Disagreement(f"{self._namespace}, after {SETTLED_SECONDS:.0f} s: {found}")
            await asyncio.sleep(0.5)

    async def _foreign_settled(self) -> str:
        found = await self._objects.get(DEPLOYMENT, self._namespace, child_name(TAKEN))
        status = (found or {}).get("status", {})
        conditions = [item["type"] for item in status.get("conditions", []) if item["status"] == "True"]
        return "" if status.get("observedGeneration") and "Available" in conditions else f"foreign Deployment: {status}"

    async def _as_declared(self) -> str:
        """What is not as declared; empty where all is."""
        listed, _ = await self._objects.list(RELAY, self._namespace)
        relays = {item["metadata"]["name"]: item for item in listed}
        children: dict[str, dict[str, Object]] = {}
        for child in CHILD_KINDS.values():
            items, _ = await self._objects.list(child, self._namespace, selector=LABEL_RELAY)
            children[child.kind] = {item["metadata"]["labels"][LABEL_RELAY]: item for item in items}
        if relays.keys() != {*self._declared, TAKEN}:
            return f"OutboxRelays are {sorted(relays)}, declared were {sorted(self._declared)}"
        for kind, found in children.items():
            # No relay is critical, so none has a budget.
            wanted_by = () if kind == DISRUPTION_BUDGET.kind else self._declared.keys()
            if found.keys() != set(wanted_by):
                return f"there are {kind}s of {sorted(found)}, declared were {sorted(wanted_by)}"
        for name, body in relays.items():
            generation = body["metadata"]["generation"]
            if body.get("status", {}).get("observedGeneration") != generation:
                return f"{name}: status is not of generation {generation}: {body.get('status')}"
        accepted = {item["type"]: item for item in relays[TAKEN]["status"]["conditions"]}["Accepted"]
        if accepted["status"] != "False":
            return f"{TAKEN} is accepted: {accepted}"
        for name, wanted in self._declared.items():
            of_it = {each: found[name] for each, found in children.items() if name in found}
            if problem := differs(name, wanted, of_it):
                return problem
        return await self._foreign_touched()

    async def _foreign_touched(self) -> str:
        kinds = {kind.kind: kind for kind in (*CHILD_KINDS.values(), SECRET)}
        for (kind, name), version in self._foreign.items():
            found = await self._objects.get(kinds[kind], self._namespace, name)
            if found is None or found["metadata"]["resourceVersion"] != version:
                raise Disagreement(f"{kind} {name} of somebody else was written: {found}")
        return ""

    async def _pods(self) -> dict[str, frozenset[str]]:
        """The uids of every relay's pods."""
        items, _ = await self._objects.list(POD, self._namespace, selector=LABEL_RELAY)
        found: dict[str, set[str]] = {}
        for item in items:
            if not item["metadata"].get("deletionTimestamp"):
                found.setdefault(item["metadata"]["labels"][LABEL_RELAY], set()).add(item["metadata"]["uid"])
        return {name: frozenset(uids) for name, uids in found.items()}

    async def _check_pods(self, before: dict[str, frozenset[str]], touched: set[str]) -> None:
        after = await self._pods()
        for name in self._declared.keys() - touched:
            if gone := before.get(name, frozenset()) - after.get(name, frozenset()):
                raise Disagreement(f"{name} was not changed, and its pods {sorted(gone)} are gone")


def differs(name: str, wanted: Declared, children: dict[str, Object]) -> str:
    """What of a relay's children is not as declared; raises Disagreement where it has changed too often."""
    for kind, body in children.items():
        owners = [owner["uid"] for owner in body["metadata"].get("ownerReferences", [])]
        if owners != [wanted.uid]:
            return f"{kind} of {name} belongs to {owners}, not to {wanted.uid}"
    config = children[CONFIG_MAP.kind]["data"][CONFIG_FILE]
    if f"batchSize: {wanted.batch}\n" not in config:
        return f"{name}: its ConfigMap does not say batchSize: {wanted.batch}"
    deployment = children[DEPLOYMENT.kind]
    if deployment["spec"]["replicas"] != wanted.replicas:
        return f"{name}: its Deployment asks for {deployment['spec']['replicas']} pods, declared are {wanted.replicas}"
    revision = int(deployment["metadata"].get("annotations", {}).get(REVISION, 0))
    if revision > 1 + wanted.edits:
        raise Disagreement(f"{name}: {revision} pod templates, though its spec was edited {wanted.edits} times")
    generation = deployment["metadata"]["generation"]
    if generation > 1 + wanted.edits + wanted.scalings:
        raise Disagreement(f"{name}: its Deployment was changed {generation - 1} times, its spec {wanted}")
    return ""


def foreign_deployment() -> Object:
    """A Deployment of somebody else, without pods."""
    labels = {"app": "foreign"}
    container = {"name": "c", "image": "localhost/none:none"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}


async def make_namespace(client: KubeClient, name: str) -> None:
    """A namespace with the service account that pods need."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.request("POST", "/api/v1/namespaces", body=body)


async def drop_namespace(client: KubeClient, name: str) -> None:
    """Let a namespace go; what is left in it goes in the background."""
    try:
        await client.request("DELETE", f"/api/v1/namespaces/{name}")
    except ClusterFault as fault:
        if fault.status != 404:
            raise
