"""Noticing that the watch has gone blind: every 20 s a LIST is held against what the watch delivered.

What it missed is repaired at once; where the watch does not deliver it within 20 s either, the process must end.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from outboxrelay.controller.clock import Clock
from outboxrelay.controller.relays import Relays, key_of, version_of
from outboxrelay.decisions.blindness import Comparison, Key, Version, compare, vanished
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import RELAY, ResourceKind

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 20.0
WAIT_FOR_API_SECONDS = 2.0
RECHECK_SECONDS = 4.0
"""A difference is looked at again soon: nearly always the watch was only a moment behind."""


class BlindWatch(RuntimeError):
    """The watch does not deliver what the API server lists."""


class RelaySource(Protocol):
    """Lists and reads OutboxRelays."""

    async def list(
        self, kind: ResourceKind, namespace: str | None, *, selector: str = "", metadata_only: bool = False
    ) -> tuple[list[dict[str, Any]], str]:
        """Every object."""

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""


class Resync:
    """Compares, repairs, and gives up."""

    def __init__(
        self,
        source: RelaySource,
        relays: Relays,
        wake: Callable[[Key], None],
        *,
        clock: Clock,
        namespaces: Sequence[str],
    ) -> None:
        self._source = source
        self._relays = relays
        self._wake = wake
        self._clock = clock
        self._scopes: list[str | None] = list(namespaces) or [None]
        self._comparison = Comparison()

    async def run(self) -> None:
        """Compare until cancelled; raises BlindWatch."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS if self._comparison.since else INTERVAL_SECONDS)
            await self.once()

    async def first(self) -> None:
        """Wait until OutboxRelays can be listed at all; raises ClusterFault while they cannot."""
        for scope in self._scopes:
            await self._source.list(RELAY, scope, metadata_only=True)

    async def once(self) -> None:
        """One comparison; raises BlindWatch."""
        before = self._relays.delivered()
        try:
            listed = await self._listed()
        except ClusterFault as fault:
            # While the API is away nothing can be delivered: the watch gets its time anew once it is back.
            self._comparison = Comparison()
            log.warning("list_failed", message=str(fault))
            return
        after = self._relays.delivered()
        for key in vanished(before=before, listed=listed, after=after):
            self._relays.remove(key)
            self._wake(key)
        now = self._clock.monotonic()
        known = self._comparison.missed()
        self._comparison = compare(self._comparison, listed=listed, delivered=after, now=now)
        if blind := self._comparison.blind(now):
            raise BlindWatch(f"the watch has not delivered {'/'.join(blind)} for 20 s, though the API server lists it")
        for key in self._comparison.missed() - known:
            await self._repair(key)

    async def _listed(self) -> dict[Key, Version]:
        found: dict[Key, Version] = {}
        for scope in self._scopes:
            items, _ = await self._source.list(RELAY, scope, metadata_only=True)
            found |= {key_of(item): version_of(item) for item in items}
        return found

    async def _repair(self, key: Key) -> None:
        try:
            body = await self._source.get(RELAY, *key)
        except ClusterFault as fault:
            log.warning("repair_failed", namespace=key[0], relay=key[1], message=str(fault))
            return
        if body is not None:
            log.warning("missed_event_repaired", namespace=key[0], relay=key[1])
            self._wake(self._relays.repair(body))


async def wait_for_relays(resync: Resync) -> None:
    """Wait until OutboxRelays can be listed: kopf would end at once where the CRD or a permission is missing."""
    while True:
        try:
            await resync.first()
        except ClusterFault as fault:
            hint = "install crds/outboxrelays.yaml" if fault.status == 404 else "see docs/rbac.md"
            log.error("relays_not_listed", message=str(fault), hint=hint if fault.status else None)
            await asyncio.sleep(WAIT_FOR_API_SECONDS)
            continue
        return
