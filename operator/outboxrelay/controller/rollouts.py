"""Who may get new pods now: what the leader knows of all relays, for the decisions in decisions/rollouts.

Nothing here needs to outlast the leader: Deployments say what their pods are made from and when an upgrade brought it.
"""

from dataclasses import dataclass, replace

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.api.names import ANNOTATION_ROLLOUT, PROCEED, Condition, Reason
from outboxrelay.api.status import OutboxRelayStatus
from outboxrelay.controller.clock import Clock, timestamp
from outboxrelay.controller.memory import Memory
from outboxrelay.controller.plan import Applied, Observed, wanted_template
from outboxrelay.controller.relays import Body, Relays
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.dependencies import Neighbour, cycle_refusal, waits_for
from outboxrelay.decisions.facts import DeploymentFacts, Hold
from outboxrelay.decisions.rollouts import (
    Change,
    Standing,
    Template,
    blamed,
    change_of,
    is_under_way,
    stopped,
    turn,
)
from outboxrelay.decisions.transitions import News
from outboxrelay.manifests.kinds import CONFIG_MAP, DEPLOYMENT

KEPT = frozenset({CONFIG_MAP.kind, DEPLOYMENT.kind})
"""Children that stay as they are while new pods wait."""
GATHER_SECONDS = 10.0
"""A new leader lets no upgrade go on before it has been told of the relays that there are."""
PATIENCE_SECONDS = 60.0
"""So long it waits for one that cannot be looked at."""
OWN_BUSINESS = frozenset({Reason.WAITING_FOR_TURN, Reason.UPGRADE_STOPPED})
"""Why a relay may be without new pods although it has its newest spec: the operator's upgrade, not its own change."""


@dataclass(frozen=True, slots=True)
class Case:
    """One relay whose pods may have to be replaced."""

    manifest: RelayManifest
    change: Change
    live: Template | None
    deployment: DeploymentFacts | None
    status: OutboxRelayStatus
    proceed: bool
    """Whether people said that it must not wait, nor be waited for."""

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.manifest.identity.namespace, self.manifest.identity.name


class Rollouts:
    """Decides for one relay after the other."""

    def __init__(self, relays: Relays, *, clock: Clock, at_once: int, watched: float) -> None:
        self._relays = relays
        self._clock = clock
        self._at_once = at_once
        self._watched = watched
        self._since = clock.monotonic()
        self._fleet: dict[Key, Standing] = {}

    def checked(self, observed: Observed) -> Observed:
        """What was observed, refused where the relay waits for itself."""
        if observed.refusal is not None or observed.manifest is None or not observed.manifest.spec.depends_on:
            return observed
        identity = observed.identity
        graph = {name: _depends_on(body) for name, body in self._namespace(identity.namespace).items()}
        return replace(observed, refusal=cycle_refusal(identity.name, graph))

    def held(self, body: Body, observed: Observed, memory: Memory, deployment: DeploymentFacts | None) -> Observed:
        """What was observed, with what new pods have to wait for."""
        manifest = observed.manifest
        if manifest is None or observed.refusal is not None:
            # Its pods stay as they are: nobody waits for it.
            self._fleet[observed.identity.namespace, observed.identity.name] = Standing()
            return observed
        child = observed.children.get(DEPLOYMENT.kind)
        live = child.template if child is not None else None
        last = memory.applied.get(DEPLOYMENT.kind)
        has_run = last is not None or bool(memory.status and memory.status.replicas)
        made_here = last is not None and last.digest != ""
        wanted = wanted_template(observed, manifest)
        change = change_of(live, wanted, has_run=has_run, made_here=made_here, awaited=memory.awaited)
        memory.awaited = wanted.digest
        status, proceed = memory.status or OutboxRelayStatus(), is_told_to_proceed(body)
        hold = self.decide(Case(manifest, change, live, deployment, status, proceed))
        if hold is not None:
            # Who changes what is kept meanwhile shows against what it was when waiting began.
            for kind in KEPT & observed.children.keys():
                memory.applied.setdefault(kind, Applied("", observed.children[kind].fingerprint))
        upgraded_at = live.upgraded_at if live is not None and change is Change.NONE else ""
        if change is Change.UPGRADE:
            upgraded_at = timestamp(self._clock.now())
        return replace(
            observed,
            hold=hold,
            upgraded_at=upgraded_at,
            change=change,
            applied=dict(memory.applied),
        )

    def decide(self, case: Case) -> Hold | None:
        """Why the relay's pods are not replaced yet; None: they may be, or need not."""
        key, upgrade = case.key, case.change is Change.UPGRADE
        waits = None if case.proceed or case.change is Change.NONE else self._dependencies(case)
        self._fleet[key] = self._standing(case, blocked=waits is not None)
        if not upgrade or case.proceed:
            return waits
        hold = waits or self._gathering() or turn(key, self._fleet, self._at_once)
        if hold is None:
            # The next one who asks must see it at once.
            self._fleet[key] = replace(self._fleet[key], pending=False, rolling=True)
        return hold

    def forget(self, key: Key) -> None:
        """Drop a relay that is gone."""
        self._fleet.pop(key, None)

    def news(self, key: Key, memory: Memory) -> tuple[News, ...]:
        """The Event of a relay that stops an upgrade, or does no more."""
        waiting = sum(item.pending for item in self._fleet.values())
        mine = self._fleet.get(key, Standing()).incident if waiting else ""
        before, memory.stopping = memory.stopping, mine
        if mine and mine != before:
            return (News("Warning", "UpgradeStopped", f"{stopped('/'.join(key), mine)} ({waiting} relays wait)"),)
        if before and not mine:
            return (News("Normal", "UpgradeContinues", "the upgrade of pods goes on"),)
        return ()

    def _standing(self, case: Case, *, blocked: bool) -> Standing:
        spec, namespace = case.manifest.spec, case.manifest.identity.namespace
        pending = case.change is Change.UPGRADE
        upgraded_at = case.live.upgraded_at if case.live else ""
        current = not pending and upgraded_at != ""
        return Standing(
            critical=spec.is_critical,
            pending=pending,
            blocked=blocked,
            rolling=current and is_under_way(case.deployment, upgraded_at, self._clock.now(), self._watched),
            # One that waits for other pods again is not what the upgrade has made of it.
            incident=blamed(case.status.incidents, upgraded_at) if current and not case.proceed else "",
            depends_on=tuple((namespace, name) for name in spec.depends_on),
        )

    def _gathering(self) -> Hold | None:
        passed = self._clock.monotonic() - self._since
        missing = not self._fleet.keys() >= set(self._relays.keys())
        if passed < GATHER_SECONDS or (missing and passed < PATIENCE_SECONDS):
            return Hold(Reason.WAITING_FOR_TURN, "the operator was upgraded: it looks at every relay first")
        return None

    def _dependencies(self, case: Case) -> Hold | None:
        depends_on = case.manifest.spec.depends_on
        if not depends_on:
            return None
        others = self._namespace(case.key[0])
        return waits_for(depends_on, {name: neighbour_of(others[name]) for name in depends_on if name in others})

    def _namespace(self, namespace: str) -> dict[str, Body]:
        keys = [key for key in self._relays.keys() if key[0] == namespace]  # noqa: SIM118
        found = {key[1]: self._relays.get(key) for key in keys}
        return {name: body for name, body in found.items() if body and not body["metadata"].get("deletionTimestamp")}


def is_told_to_proceed(body: Body) -> bool:
    """Whether people said that the relay must not wait."""
    return (body["metadata"].get("annotations") or {}).get(ANNOTATION_ROLLOUT) == PROCEED


def is_critical(body: Body | None) -> bool:
    """Whether the relay is of the tier Critical, as far as its spec can be read."""
    spec = body.get("spec") if body else None
    isolation = spec.get("isolation") if isinstance(spec, dict) else None
    return isinstance(isolation, dict) and isolation.get("tier") == "Critical"


def neighbour_of(body: Body) -> Neighbour:
    """A relay as others see it that depend on it."""
    generation = body["metadata"].get("generation", 0)
    conditions = {item.get("type"): item for item in (body.get("status") or {}).get("conditions") or []}
    ready, rolled = conditions.get(Condition.READY, {}), conditions.get(Condition.ROLLED_OUT, {})
    if ready.get("observedGeneration") != generation:
        return Neighbour(generation, ready=False, reason="its newest spec has not been looked at yet")
    if ready.get("status") != "True":
        return Neighbour(generation, ready=False, reason=str(ready.get("reason", "")))
    if rolled.get("status") == "False" and rolled.get("reason") not in OWN_BUSINESS:
        return Neighbour(generation, ready=False, reason=str(rolled.get("reason", "")))
    return Neighbour(generation, ready=True)


def _depends_on(body: Body) -> list[str]:
    spec = body.get("spec")
    names = spec.get("dependsOn") if isinstance(spec, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
