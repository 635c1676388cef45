"""One line from a table to a topic, and the OutboxRelay that serves it, as kubectl shows it."""

from dataclasses import dataclass
from typing import Any

from outboxrelay.api import names

from .kubectl import Kubectl, Object
from .merging import merged
from .oracle import Oracle, OutboxTable
from .release import is_ready
from .waiting import until

READY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """Names of everything that belongs to one relay."""

    name: str
    table: OutboxTable
    role: str
    password: str
    secret: str
    topic: str
    uri: str
    servers: str
    kubectl: Kubectl

    @property
    def child(self) -> str:
        """Name of the Deployment, ConfigMap and ServiceAccount."""
        return names.child_name(self.name)

    def oracle(self, **options: Any) -> Oracle:
        """The oracle for this line; the table and the topic exist."""
        return Oracle(self.uri, self.servers, self.topic, table=self.table, **options)

    def manifest(self, **spec: Any) -> Object:
        """The OutboxRelay as a user writes it, with ``spec`` laid over it."""
        base: Object = {
            "source": {
                "database": {"uriSecretRef": {"name": self.secret, "key": "uri"}},
                "table": {"name": self.table.name},
            },
            "target": {"bootstrapServers": self.servers.split(","), "topic": self.topic, "protocol": "PLAINTEXT"},
        }
        metadata = {"name": self.name, "namespace": self.kubectl.namespace}
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": metadata,
            "spec": merged(base, spec),
        }

    async def apply(self, **spec: Any) -> None:
        """kubectl apply of the manifest."""
        await self.kubectl.apply(self.manifest(**spec))

    async def start(self, **spec: Any) -> None:
        """Apply, and wait until it delivers."""
        await self.apply(**spec)
        await self.wait_ready()

    async def conditions(self) -> dict[str, Object]:
        """The conditions by type."""
        relay = await self.kubectl.find(names.PLURAL, self.name)
        found = (relay or {}).get("status", {}).get("conditions", [])
        return {item["type"]: item for item in found}

    async def wait_ready(self, deadline: float = READY_SECONDS, *, reason: str | None = None) -> Object:
        """Wait until Ready is True (and, where given, for this reason)."""
        return await self.wait_condition("Ready", "True", reason, deadline)

    async def wait_condition(
        self, kind: str, status: str, reason: str | None = None, deadline: float = READY_SECONDS
    ) -> Object:
        """Wait until a condition has a status (and a reason), for the generation that is current."""
        seen: dict[str, Object] = {}

        async def probe() -> Object | None:
            relay = await self.kubectl.get(names.PLURAL, self.name)
            seen.clear()
            seen.update({item["type"]: item for item in relay.get("status", {}).get("conditions", [])})
            found = seen.get(kind, {})
            fits = found.get("status") == status and (reason is None or found.get("reason") == reason)
            current = found.get("observedGeneration") == relay["metadata"]["generation"]
            return found if fits and current else None

        wanted = f"{self.name} with {kind}={status}" + (f" for {reason}" if reason else "")
        return await until(probe, wanted, deadline, last=lambda: told(seen))

    async def wait_event(self, reason: str, deadline: float = 20) -> Object:
        """Wait for an Event of this reason about the OutboxRelay."""

        async def probe() -> Object | None:
            found = await self.events()
            return next((event for event in found if event["reason"] == reason), None)

        return await until(probe, f"Event {reason} about {self.name}", deadline)

    async def events(self) -> list[Object]:
        """The Events about the OutboxRelay."""
        found = await self.kubectl.list("events")
        return [event for event in found if event["involvedObject"].get("name") == self.name]

    async def row(self, *options: str) -> str:
        """What kubectl get shows."""
        return await self.kubectl.run("get", names.PLURAL, self.name, *options)

    async def pods(self) -> list[Object]:
        """The relay's pods that are ready."""
        found = await self.kubectl.list("pods", f"{names.LABEL_RELAY}={self.name}")
        return [pod for pod in found if is_ready(pod)]

    async def wait_pods(self, count: int, deadline: float = READY_SECONDS) -> list[Object]:
        """Wait until exactly so many pods are there, all ready."""

        async def probe() -> list[Object] | bool:
            every = await self.kubectl.list("pods", f"{names.LABEL_RELAY}={self.name}")
            return (every or True) if len(every) == count and all(map(is_ready, every)) else False

        found = await until(probe, f"{self.name} with {count} ready pods", deadline)
        return found if isinstance(found, list) else []

    async def deployment(self) -> Object:
        """The Deployment."""
        return await self.kubectl.get("deployments", self.child)


def told(conditions: dict[str, Object]) -> str:
    """Conditions in one line."""
    return "; ".join(
        f"{kind}={item['status']} {item['reason']}: {item['message']}" for kind, item in conditions.items()
    )


def identities(pods: list[Object]) -> dict[str, int]:
    """uid and restart count of each pod."""
    return {
        pod["metadata"]["uid"]: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
        for pod in pods
    }
