"""Events of an OutboxRelay. What repeats within ten minutes is counted, not written again."""

from typing import Any, Protocol

import structlog

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.controller.clock import Clock, timestamp
from outboxrelay.decisions.transitions import News
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import EVENT, ResourceKind

log = structlog.get_logger(__name__)

SAME_SECONDS = 600.0
TIDY_SECONDS = 60.0
"""Old series are dropped so often: all are looked through for it."""


class EventStore(Protocol):
    """Creates and patches objects."""

    async def create(self, kind: ResourceKind, body: dict[str, Any]) -> dict[str, Any]:
        """A new object."""

    async def patch(
        self, kind: ResourceKind, namespace: str, name: str, body: dict[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        """A merge patch."""


class Events:
    """Publishes Events, each series under one name."""

    def __init__(self, store: EventStore, *, clock: Clock, component: str = names.MANAGER) -> None:
        self._store = store
        self._clock = clock
        self._component = component
        self._series: dict[tuple[str, str, str, str], tuple[str, int, float]] = {}
        self._tidied_at = clock.monotonic()
        self._number = 0

    async def publish(self, identity: RelayIdentity, news: News) -> None:
        """Publish ``news``; an Event that cannot be written is logged and lost."""
        log.info("relay_news", namespace=identity.namespace, relay=identity.name, reason=news.reason, text=news.message)
        now = self._clock.monotonic()
        self._tidy(now)
        series = identity.uid, news.type, news.reason, news.message
        name, count, at = self._series.get(series, ("", 0, now))
        if now - at >= SAME_SECONDS:
            name, count = "", 0
        try:
            if name:
                await self._repeat(identity, name, count + 1)
            else:
                name = await self._first(identity, news)
        except ClusterFault as fault:
            log.warning("event_lost", namespace=identity.namespace, relay=identity.name, message=str(fault))
            self._series.pop(series, None)
            return
        self._series[series] = (name, count + 1, now)

    def _tidy(self, now: float) -> None:
        if now - self._tidied_at >= TIDY_SECONDS:
            self._series = {place: entry for place, entry in self._series.items() if now - entry[2] < SAME_SECONDS}
            self._tidied_at = now

    async def _first(self, identity: RelayIdentity, news: News) -> str:
        moment = self._clock.now()
        self._number += 1
        name = f"{identity.name}.{int(moment.timestamp() * 1_000_000):x}{self._number % 4096:03x}"
        stamp = timestamp(moment)
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": identity.namespace, "name": name},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": identity.namespace,
                "name": identity.name,
                "uid": identity.uid,
            },
            "type": news.type,
            "reason": news.reason,
            "message": news.message,
            "source": {"component": self._component},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        await self._store.create(EVENT, body)
        return name

    async def _repeat(self, identity: RelayIdentity, name: str, count: int) -> None:
        body = {"count": count, "lastTimestamp": timestamp(self._clock.now())}
        await self._store.patch(EVENT, identity.namespace, name, body)
