"""Telling what was found: status of the OutboxRelay where it changed, and Events on transitions."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from outboxrelay import __version__
from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.status import Backlog, OutboxRelayStatus, ScalingStatus
from outboxrelay.controller.clock import Clock, timestamp
from outboxrelay.controller.incidents import IncidentKeeper
from outboxrelay.controller.memory import Memory
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import Facts
from outboxrelay.decisions.incidents.status import parse_incidents
from outboxrelay.decisions.summary import Frame, held_examples, parse_conditions, status_of, worth_writing
from outboxrelay.decisions.transitions import News, held_news, ready_news
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import RELAY, ResourceKind
from outboxrelay.manifests.metadata import selector_text

log = structlog.get_logger(__name__)


class StatusSink(Protocol):
    """Patches objects."""

    async def patch(
        self, kind: ResourceKind, namespace: str, name: str, body: dict[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        """A merge patch."""


class EventSink(Protocol):
    """Publishes Events."""

    async def publish(self, identity: RelayIdentity, news: News) -> None:
        """Publish; never raises for what the API server answers."""


class Reporter:
    """Writes status and Events."""

    def __init__(
        self,
        objects: StatusSink,
        events: EventSink,
        incidents: IncidentKeeper,
        *,
        clock: Clock,
        interval: Callable[[], float],
    ) -> None:
        self._objects = objects
        self._events = events
        self._incidents = incidents
        self._clock = clock
        self._interval = interval

    async def report(self, identity: RelayIdentity, facts: Facts, memory: Memory, news: tuple[News, ...]) -> None:
        """Write what differs; raises ClusterFault where the API does not answer."""
        before = memory.status or OutboxRelayStatus()
        frame = Frame(
            generation=identity.generation,
            version=__version__,
            selector=selector_text(identity.name),
            now=timestamp(self._clock.now()),
        )
        status = status_of(facts, frame, before)
        look = self._incidents.look(identity, facts, status.conditions, before.incidents)
        memory.news += look.news
        status = status.model_copy(update={"incidents": look.incidents, "open_incidents": look.open})
        since = facts.now - memory.written_at
        if worth_writing(before, status, since=since, interval=self._interval()):
            if not await self._write(identity, status, before):
                return
            memory.status, memory.written_at = status, facts.now
            news += (*self._transitions(before, status, facts), *memory.news)
            memory.news = ()
        for item in news:
            await self._events.publish(identity, item)

    def forget(self, key: Key) -> None:
        """Drop a relay that is gone; its incidents end with it."""
        self._incidents.forget(key)

    async def _write(self, identity: RelayIdentity, status: OutboxRelayStatus, before: OutboxRelayStatus) -> bool:
        body = status.model_dump(by_alias=True, exclude_none=True)
        # In a merge patch only null removes a field.
        gone = before.model_dump(by_alias=True, exclude_none=True).keys() - body.keys()
        body |= dict.fromkeys(gone)
        # The uid makes the API server refuse to write one relay's status into another of the same name.
        patch = {"metadata": {"uid": identity.uid}, "status": body}
        try:
            await self._objects.patch(RELAY, identity.namespace, identity.name, patch, "status")
        except ClusterFault as fault:
            if fault.status in (404, 409):
                return False
            raise
        ready = next((item for item in status.conditions if item.type == "Ready"), None)
        log.debug("status_written", namespace=identity.namespace, relay=identity.name, reason=ready and ready.reason)
        return True

    @staticmethod
    def _transitions(before: OutboxRelayStatus, after: OutboxRelayStatus, facts: Facts) -> tuple[News, ...]:
        held = before.held.keys if before.held else 0, after.held.keys if after.held else 0
        example = next(iter(held_examples(facts.reports)), "")
        return (*ready_news(before.conditions, after.conditions), *held_news(*held, example))


def found_status(body: Mapping[str, Any]) -> OutboxRelayStatus:
    """The status that an object has, as far as it is needed to go on from it."""
    status = body.get("status") or {}
    held = status.get("held") or {}
    backlog = _found_backlog(status.get("backlog"))
    return OutboxRelayStatus.model_validate(
        {
            "incidents": [item.model_dump(by_alias=True) for item in parse_incidents(status.get("incidents"))],
            "conditions": [item.model_dump(by_alias=True) for item in parse_conditions(status.get("conditions"))],
            "held": {"keys": held["keys"]} if isinstance(held.get("keys"), int) else None,
            "backlog": backlog,
            "scaling": _found_scaling(status.get("scaling")),
            "replicas": replicas if isinstance(replicas := status.get("replicas"), int) else None,
        }
    )


def _found_scaling(item: object) -> dict[str, Any] | None:
    """status.scaling as far as this version can read it."""
    try:
        return ScalingStatus.model_validate(item).model_dump(by_alias=True)
    except ValidationError:
        return None


def _found_backlog(item: object) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    fields = {info.alias or name for name, info in Backlog.model_fields.items()}
    required = {info.alias or name for name, info in Backlog.model_fields.items() if info.is_required()}
    kept = {key: value for key, value in item.items() if key in fields}
    return kept if required <= kept.keys() else None
