"""Observing one relay: its spec, Secrets, claim on the table, and children. Secrets and children that are not watched
are read at each change, and again every 30 s or as often as the fleet allows."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from outboxrelay.api.manifest import RelayIdentity, RelayManifest, parse_spec
from outboxrelay.api.names import Reason, child_name
from outboxrelay.api.source import Database
from outboxrelay.controller.claims import Claims
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.memory import Memory
from outboxrelay.controller.observe import fingerprint, template_of
from outboxrelay.controller.plan import Child, Observed
from outboxrelay.controller.secrets import ObjectSource, read_secrets
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.conflicts import Claim, TablePlace
from outboxrelay.decisions.facts import Verdict
from outboxrelay.errors import Fault, InvalidInput
from outboxrelay.manifests.config import credentials_hash
from outboxrelay.manifests.deployment import asked_replicas
from outboxrelay.manifests.kinds import CHILD_KINDS, DEPLOYMENT, DISRUPTION_BUDGET, ResourceKind
from outboxrelay.manifests.ownership import Ownership, owner_text, ownership
from outboxrelay.manifests.secrets import references

ABSENT = "absent"
"""Stands for the hash of Secrets that cannot be read, where no pod will be made from it."""


class DeploymentCache(Protocol):
    """The watched children that are looked at each time."""

    def deployment(self, key: Key, name: str) -> dict[str, Any] | None:
        """The Deployment of the relay."""

    def budget(self, key: Key, name: str) -> dict[str, Any] | None:
        """The PodDisruptionBudget of the relay."""


class Locator(Protocol):
    """Knows where a database is."""

    def locate(
        self, database: Database, secrets: Mapping[tuple[str, str], str]
    ) -> tuple[tuple[tuple[str, int], ...], str]:
        """Hosts and name of the database; raises Fault where the Secrets hold no usable address."""


class Surveyor:
    """Observes relays."""

    def __init__(
        self,
        objects: ObjectSource,
        cache: DeploymentCache,
        claims: Claims,
        locator: Locator,
        *,
        clock: Clock,
        interval: Callable[[], float],
        image: str,
        priority_class: str = "",
    ) -> None:
        self._objects = objects
        self._cache = cache
        self._claims = claims
        self._locator = locator
        self._clock = clock
        self._interval = interval
        self._image = image
        self._priority_class = priority_class

    async def survey(self, body: Mapping[str, Any], identity: RelayIdentity, memory: Memory) -> Observed:
        """What a plan needs; raises ClusterFault where the API does not answer."""
        key = identity.namespace, identity.name
        try:
            manifest = memory.manifest
            if manifest is None or manifest.identity != identity:
                manifest = memory.manifest = RelayManifest(identity=identity, spec=parse_spec(body.get("spec")))
        except InvalidInput as problem:
            self._claims.withdraw(key)
            return self._observed(identity, None, Verdict(Reason.INVALID_SPEC, str(problem)), memory)
        due = self._due(identity, memory)
        if due:
            memory.secrets = await read_secrets(self._objects, identity.namespace, references(manifest.spec))
        refusal = self._refusal(key, manifest, str(body["metadata"].get("creationTimestamp", "")), memory)
        looked_at, children = await self._children(key, manifest, memory, due)
        return self._observed(identity, manifest, refusal, memory, looked_at, children)

    def done(self, observed: Observed, memory: Memory) -> None:
        """Note that what this survey found was dealt with; otherwise the next look surveys everything again."""
        ours = all(child.ownership in (Ownership.OURS, Ownership.ORPHAN) for child in observed.children.values())
        if ours and len(observed.looked_at) == len(CHILD_KINDS):
            memory.surveyed_at = self._clock.monotonic() - self._interval() * 0.2 * self._clock.chance()
            memory.surveyed_generation = observed.identity.generation

    def _due(self, identity: RelayIdentity, memory: Memory) -> bool:
        changed = memory.surveyed_generation != identity.generation or memory.secrets is None
        return changed or self._clock.monotonic() - memory.surveyed_at >= self._interval()

    def _refusal(self, key: Key, manifest: RelayManifest, created: str, memory: Memory) -> Verdict | None:
        secrets = memory.secrets
        if secrets is None or secrets.missing is not None:
            self._claims.withdraw(key)
            return secrets.missing if secrets else None
        try:
            hosts, database = self._locator.locate(manifest.spec.source.database, secrets.texts())
            memory.source_scope = ",".join(f"{host}:{port}" for host, port in hosts)
        except Fault as fault:
            self._claims.withdraw(key)
            return Verdict(Reason.INVALID_SPEC, f"{fault.message}; correct the Secret")
        if asked_replicas(manifest) == 0:
            self._claims.withdraw(key)
            return None
        table = manifest.spec.source.table
        claim = Claim("/".join(key), created, TablePlace(hosts, database, table.schema_, table.name))
        return self._claims.state(key, claim)

    async def _children(
        self, key: Key, manifest: RelayManifest, memory: Memory, due: bool
    ) -> tuple[frozenset[str], dict[str, Child]]:
        identity = manifest.identity
        name, found = child_name(identity.name), {}
        watched = {DEPLOYMENT: self._cache.deployment, DISRUPTION_BUDGET: self._cache.budget}
        kinds = list(CHILD_KINDS.values()) if due else list(watched)
        for kind in kinds:
            live = watched[kind](key, name) if kind in watched else None
            # Of a budget that is not ours nothing needs to be known where none is wanted.
            wanted = kind is not DISRUPTION_BUDGET or manifest.spec.is_critical
            if live is None and wanted and (kind not in watched or due or kind.kind not in memory.applied):
                live = await self._objects.get(kind, identity.namespace, name)
            if live is not None:
                found[kind.kind] = _child(kind, live, identity)
        return frozenset(kind.kind for kind in kinds), found

    def _observed(
        self,
        identity: RelayIdentity,
        manifest: RelayManifest | None,
        refusal: Verdict | None,
        memory: Memory,
        looked_at: frozenset[str] = frozenset(),
        children: Mapping[str, Child] | None = None,
    ) -> Observed:
        return Observed(
            identity=identity,
            manifest=manifest,
            refusal=refusal,
            image=self._image,
            credentials=_hash(identity, memory),
            looked_at=looked_at,
            children=children or {},
            applied=dict(memory.applied),
            known=memory.desired,
            priority_class=self._priority_class,
        )


def _child(kind: ResourceKind, live: Mapping[str, Any], identity: RelayIdentity) -> Child:
    return Child(
        ownership(live, identity),
        fingerprint(live),
        owner_text(live),
        replicas=live.get("spec", {}).get("replicas", 1) if kind is DEPLOYMENT else None,
        template=template_of(live) if kind is DEPLOYMENT else None,
        uid=str(live.get("metadata", {}).get("uid", "")),
    )


def _hash(identity: RelayIdentity, memory: Memory) -> str:
    secrets = memory.secrets
    if secrets is None or secrets.missing is not None:
        return ABSENT
    return credentials_hash(identity.uid, ((name, key, value) for (name, key), value in secrets.values.items()))
