"""Carrying out a plan, step by step, and remembering what the API server answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.api.names import child_name
from outboxrelay.controller.clock import Clock
from outboxrelay.controller.memory import Memory, Refused
from outboxrelay.controller.observe import fingerprint
from outboxrelay.controller.plan import Applied, Observed, Plan, Step
from outboxrelay.controller.survey import ABSENT
from outboxrelay.decisions.refusals import Refusal, refusal
from outboxrelay.decisions.transitions import News
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import CHILD_KINDS, DEPLOYMENT, ResourceKind

log = structlog.get_logger(__name__)

REFUSED_SECONDS = 120.0
"""How long an object that was refused is not sent again while it is the same."""

FREE_REPAIRS = 5
REPAIR_WINDOW_SECONDS = 60.0
REPAIR_WAIT_SECONDS = 15.0
"""After so many repairs within a minute somebody else insists: repair only so often, rather than replace pods in a
loop."""


class ObjectSink(Protocol):
    """Writes objects."""

    async def apply(self, kind: ResourceKind, body: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply; gives the object as it is then."""

    async def patch(
        self, kind: ResourceKind, namespace: str, name: str, body: dict[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        """A merge patch; gives the object as it is then."""

    async def delete(self, kind: ResourceKind, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid, if it is there."""


@dataclass(frozen=True, slots=True)
class Applications:
    """What came of a plan."""

    refusal: Refusal | None = None
    news: tuple[News, ...] = ()


class Applier:
    """Applies children."""

    def __init__(
        self, objects: ObjectSink, remember: Callable[[ResourceKind, Mapping[str, Any]], None], *, clock: Clock
    ) -> None:
        self._objects = objects
        self._remember = remember
        self._clock = clock

    async def apply(self, identity: RelayIdentity, observed: Observed, plan: Plan, memory: Memory) -> Applications:
        """Do the steps; raises ClusterFault where trying again may help."""
        news: list[News] = []
        for step in plan.steps:
            if (held := self._refused(step, memory)) is not None:
                return Applications(held, tuple(news))
            if step.drift and self._fought(memory):
                continue
            try:
                live = await self._write(identity, step)
            except ClusterFault as fault:
                found = refusal(fault.status, fault.message, step.kind)
                if found is None:
                    raise
                memory.refused[step.kind] = Refused(step.digest, self._clock.monotonic(), found)
                log.warning("child_refused", **_about(identity), kind=step.kind, message=fault.message)
                return Applications(found, tuple(news))
            news += self._settle(identity, observed, step, live, memory)
        for item in plan.removals:
            await self._objects.delete(CHILD_KINDS[item.kind], identity.namespace, item.name, item.uid)
            memory.applied.pop(item.kind, None)
            log.info("child_removed", **_about(identity), kind=item.kind)
        if plan.hold is None:
            news += _rolled(observed, plan, memory)
        return Applications(None, tuple(news))

    async def _write(self, identity: RelayIdentity, step: Step) -> dict[str, Any]:
        kind = CHILD_KINDS[step.kind]
        if step.partial:
            return await self._objects.patch(kind, identity.namespace, child_name(identity.name), step.body)
        return await self._objects.apply(kind, step.body)

    def _refused(self, step: Step, memory: Memory) -> Refusal | None:
        held = memory.refused.get(step.kind)
        if held is None or held.digest != step.digest:
            return None
        return held.refusal if self._clock.monotonic() - held.at < REFUSED_SECONDS else None

    def _fought(self, memory: Memory) -> bool:
        """Whether this repair must wait, because the last ones did not last."""
        now = self._clock.monotonic()
        memory.repairs = [when for when in memory.repairs if now - when < REPAIR_WINDOW_SECONDS]
        if len(memory.repairs) >= FREE_REPAIRS and now - memory.repairs[-1] < REPAIR_WAIT_SECONDS:
            return True
        memory.repairs.append(now)
        return False

    def _settle(
        self, identity: RelayIdentity, observed: Observed, step: Step, live: dict[str, Any], memory: Memory
    ) -> list[News]:
        now = fingerprint(live)
        before = observed.children.get(step.kind)
        # A part of an object says nothing about the rest, which is applied when its time comes.
        memory.applied[step.kind] = Applied("" if step.partial else step.digest, now)
        memory.refused.pop(step.kind, None)
        if step.kind == DEPLOYMENT.kind:
            self._remember(DEPLOYMENT, live)
        changed = before is None or before.fingerprint != now
        if changed:
            log.info("child_applied", **_about(identity), kind=step.kind, drift=step.drift or None)
        if not (step.drift and changed):
            return []
        name = step.body["metadata"]["name"]
        return [News("Normal", "DriftRepaired", f"{step.kind} {name} {step.drift}; it is restored")]


def _rolled(observed: Observed, plan: Plan, memory: Memory) -> list[News]:
    """The Event about changed Secrets; only when the Deployment carries their hash."""
    if not plan.verdict.accepted or observed.credentials == ABSENT:
        return []
    before, memory.credentials = memory.credentials, observed.credentials
    if before in ("", observed.credentials):
        return []
    return [News("Normal", "RollingOut", "a referenced Secret changed: pods are replaced one after the other")]


def _about(identity: RelayIdentity) -> dict[str, str]:
    return {"namespace": identity.namespace, "relay": identity.name}
