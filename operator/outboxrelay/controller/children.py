"""The relays' Deployments, pods and budgets: our own watch, because kopf sends no label selector to the server.

Each watch lasts about 45 s and the next goes on where it ended; what changed wakes the relay that owns it. A list anew,
after errors and every five minutes, finds what no watch has told.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from outboxrelay.api.names import LABEL_RELAY
from outboxrelay.controller.observe import trimmed_budget, trimmed_deployment, trimmed_pod
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.retries import BackoffPolicy, backoff
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import DEPLOYMENT, DISRUPTION_BUDGET, POD, ResourceKind

log = structlog.get_logger(__name__)

RELIST_SECONDS = 300.0
BACKOFF = BackoffPolicy(initial=0.5, maximum=10.0, multiplier=2.0)
TRIM: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    DEPLOYMENT.kind: trimmed_deployment,
    POD.kind: trimmed_pod,
    DISRUPTION_BUDGET.kind: trimmed_budget,
}
Object = dict[str, Any]
Scope = tuple[str, str | None]
"""A kind, and a namespace or None for all."""
Store = dict[Key, dict[str, Object]]
"""Objects by relay and by their own name."""


class ListSource(Protocol):
    """Lists objects."""

    async def list(
        self, kind: ResourceKind, namespace: str | None, *, selector: str = "", metadata_only: bool = False
    ) -> tuple[list[Object], str]:
        """Every object, and the version that a watch goes on from."""


class WatchSource(Protocol):
    """Watches objects."""

    def watch(
        self, kind: ResourceKind, namespace: str | None, *, selector: str, version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Changes after ``version``."""


class Children:
    """Trimmed objects by relay and name."""

    def __init__(self, lister: ListSource, watcher: WatchSource, wake: Callable[[Key], None]) -> None:
        self._lister = lister
        self._watcher = watcher
        self._wake = wake
        self._stores: dict[Scope, Store] = {}
        self._unsynced: set[Scope] = set()
        self._synced = asyncio.Event()

    async def run(self, namespaces: Sequence[str]) -> None:
        """Watch the ``namespaces`` (none = all) until cancelled."""
        scopes: list[str | None] = list(namespaces) or [None]
        kinds = (DEPLOYMENT, POD, DISRUPTION_BUDGET)
        self._unsynced = {(kind.kind, scope) for kind in kinds for scope in scopes}
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                for scope in scopes:
                    group.create_task(self._follow(kind, scope), name=f"watch {kind.plural} {scope or 'everywhere'}")

    async def synced(self) -> None:
        """Wait until everything has been listed once."""
        await self._synced.wait()

    def deployment(self, key: Key, name: str) -> Object | None:
        """The Deployment ``name`` of the relay."""
        return self._of(DEPLOYMENT, key).get(name)

    def budget(self, key: Key, name: str) -> Object | None:
        """The PodDisruptionBudget ``name`` of the relay."""
        return self._of(DISRUPTION_BUDGET, key).get(name)

    def pods(self, key: Key) -> list[Object]:
        """The pods of the relay."""
        return list(self._of(POD, key).values())

    def remember(self, kind: ResourceKind, body: Mapping[str, Any]) -> None:
        """Take an object as a write returned it, before the watch delivers it."""
        key = owner_key(body)
        for (name, scope), store in self._stores.items():
            if key and name == kind.kind and scope in (None, key[0]):
                _put(store, kind, key, body)

    def _of(self, kind: ResourceKind, key: Key) -> dict[str, Object]:
        for scope in (None, key[0]):
            found = self._stores.get((kind.kind, scope), {}).get(key)
            if found:
                return found
        return {}

    async def _follow(self, kind: ResourceKind, scope: str | None) -> None:
        failures, version, listed_at = 0, "", 0.0
        now = asyncio.get_running_loop().time
        while True:
            try:
                if not version or now() - listed_at >= RELIST_SECONDS:
                    version, listed_at = await self._relist(kind, scope), now()
                async for event, body in self._watcher.watch(kind, scope, selector=LABEL_RELAY, version=version):
                    failures = 0
                    version = body["metadata"].get("resourceVersion") or version
                    self._take(kind, scope, event, body)
            except ClusterFault as fault:
                version = ""
                if fault.status == 410:
                    continue
                failures += 1
                wait = backoff(BACKOFF, failures, random.random())
                log.warning("child_watch_failed", kind=kind.kind, namespace=scope, message=str(fault), retry_in=wait)
                await asyncio.sleep(wait)

    async def _relist(self, kind: ResourceKind, scope: str | None) -> str:
        items, version = await self._lister.list(kind, scope, selector=LABEL_RELAY)
        before = self._stores.get((kind.kind, scope), {})
        store: Store = {}
        for body in items:
            if key := owner_key(body):
                store.setdefault(key, {})[body["metadata"]["name"]] = TRIM[kind.kind](body)
        self._stores[kind.kind, scope] = store
        for key in before.keys() | store.keys():
            if before.get(key) != store.get(key):
                self._wake(key)
        self._unsynced.discard((kind.kind, scope))
        if not self._unsynced:
            self._synced.set()
        return version

    def _take(self, kind: ResourceKind, scope: str | None, event: str, body: Object) -> None:
        key = owner_key(body)
        if event == "BOOKMARK" or key is None:
            return
        store = self._stores[kind.kind, scope]
        if event == "DELETED":
            store.get(key, {}).pop(body["metadata"]["name"], None)
        else:
            _put(store, kind, key, body)
        self._wake(key)


def _put(store: Store, kind: ResourceKind, key: Key, body: Mapping[str, Any]) -> None:
    objects, name = store.setdefault(key, {}), body["metadata"]["name"]
    known = objects.get(name)
    if known is None or not _older(body, known):
        objects[name] = TRIM[kind.kind](body)


def owner_key(body: Mapping[str, Any]) -> Key | None:
    """The relay that a child belongs to, by its label."""
    metadata = body.get("metadata", {})
    relay = (metadata.get("labels") or {}).get(LABEL_RELAY)
    return (metadata["namespace"], relay) if relay else None


def _older(body: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether ``body`` is an older version of the same object; versions are numbers that grow."""
    new, old = body["metadata"], known["metadata"]
    if new.get("uid") != old.get("uid"):
        return False
    versions = [str(item.get("resourceVersion", "")) for item in (new, old)]
    return all(text.isdigit() for text in versions) and int(versions[0]) < int(versions[1])
