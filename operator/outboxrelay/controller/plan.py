"""What is to be done for one relay, decided from what was observed. Pure: the same observation, the same plan.

A plan for a relay that is as it should be holds no step, so that an operator that comes back touches nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.api.manifest import RelayIdentity, RelayManifest
from outboxrelay.api.names import ANNOTATION_TEMPLATE_GENERATION, Reason, child_name
from outboxrelay.decisions.facts import Hold, Verdict
from outboxrelay.decisions.rollouts import Change, Template
from outboxrelay.manifests.config_map import config_map
from outboxrelay.manifests.deployment import asked_replicas, deployment, first_replicas
from outboxrelay.manifests.disruption_budget import disruption_budget
from outboxrelay.manifests.kinds import CHILD_KINDS, CONFIG_MAP, DEPLOYMENT, DISRUPTION_BUDGET
from outboxrelay.manifests.ownership import Ownership
from outboxrelay.manifests.pod import pod_template
from outboxrelay.manifests.service_account import service_account


@dataclass(frozen=True, slots=True)
class Child:
    """A live object of a child's name."""

    ownership: Ownership
    fingerprint: str
    """Changes when somebody changes what the object asks for."""
    belongs: str = ""
    replicas: int | None = None
    """Pods that a Deployment asks for."""
    template: Template | None = None
    """What the pods of a Deployment are made from."""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was last applied, and the fingerprint that the object had then."""

    digest: str
    fingerprint: str


MadeFrom = tuple[int, str, str, str]
"""All that a pod template depends on: generation, image, credentials, class of priority."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The children that were last worked out, and from what: they are the same while that is."""

    made_from: MadeFrom
    upgraded_at: str
    replicas: int
    template: str
    """Digest of the pod template."""
    children: tuple[tuple[str, dict[str, Any], str], ...]
    """Kind, body and digest, in the order of being applied."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a plan depends on."""

    identity: RelayIdentity
    manifest: RelayManifest | None
    """None where the spec cannot be read."""
    refusal: Verdict | None
    """Why the relay may not run: spec, Secrets, or another relay on the table."""
    image: str
    credentials: str
    looked_at: frozenset[str] = frozenset()
    """Kinds of children that were looked up this time."""
    children: Mapping[str, Child] = field(default_factory=dict)
    applied: Mapping[str, Applied] = field(default_factory=dict)
    replicas: int | None = None
    """Pods to ask for where the spec leaves that to the operator."""
    known: Desired | None = None
    """What was worked out for this relay before."""
    priority_class: str = ""
    """PriorityClass of critical relays."""
    hold: Hold | None = None
    """Why pods must not be made from a new template yet."""
    upgraded_at: str = ""
    """When an upgrade of the operator replaced the pods, or now, where it does."""
    change: Change = Change.NONE
    """Why pods have to be made from another template, where they have to."""

    @property
    def is_partial(self) -> bool:
        """Whether pods are about to be replaced without a look at the config that belongs to them."""
        return self.change is not Change.NONE and self.hold is None and CONFIG_MAP.kind not in self.looked_at


@dataclass(frozen=True, slots=True)
class Step:
    """One object to apply."""

    kind: str
    body: dict[str, Any]
    digest: str
    drift: str = ""
    """What had happened to the object, where it is applied only because of that."""
    partial: bool = False
    """Whether the body is a merge patch of a live object, which otherwise stays as it is."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One object of ours that has no place any more."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdict on the relay, and what to do, in order."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    again_after: float | None = None
    """Seconds after which to look again, where something is waited for."""
    desired: Desired | None = None
    """To be given to the next plan for this relay."""
    removals: tuple[Removal, ...] = ()
    hold: Hold | None = None
    """Why pods are not made from a new template yet."""


WAIT_SECONDS = 1.0


def plan(observed: Observed) -> Plan:
    """The plan for one relay."""
    manifest = observed.manifest
    if manifest is None:
        return Plan(observed.refusal or Verdict(Reason.INVALID_SPEC, "the spec cannot be read"))
    if obstacle := _obstacle(observed):
        return obstacle
    if observed.refusal is None:
        return _accepted(observed, manifest)
    if DEPLOYMENT.kind not in observed.children or not _must_stop(observed.refusal, manifest):
        return Plan(observed.refusal)
    stopped, _ = _pods(observed, manifest, 0)
    return Plan(observed.refusal, _steps(observed, [(DEPLOYMENT.kind, stopped, digest_of(stopped))]))


def wanted_template(observed: Observed, manifest: RelayManifest) -> Template:
    """What pods are to be made from."""
    known = observed.known
    # It is asked for at each look, and its text is the most expensive thing there is.
    if known is not None and known.made_from == _made_from(observed):
        digest = known.template
    else:
        digest = digest_of(_template(observed, manifest))
    return _named(observed, digest)


def digest_of(body: Mapping[str, Any]) -> str:
    """A short name for the content of ``body``."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _must_stop(refusal: Verdict, manifest: RelayManifest) -> bool:
    """A missing Secret leaves running pods alone; a second relay on a table must not run."""
    return refusal.reason is Reason.CONFLICTING_RELAY or asked_replicas(manifest) == 0


def _accepted(observed: Observed, manifest: RelayManifest) -> Plan:
    replicas, removals = _replicas(observed, manifest), _removals(observed, manifest)
    desired = _desired(observed, manifest, replicas)
    if observed.hold is None or _is_torn(observed, replicas):
        return Plan(Verdict(), _steps(observed, desired.children), removals=removals, desired=desired)
    # The config belongs to the pods: one that starts anew meanwhile must find what the others have.
    kept = [child for child in desired.children if child[0] not in (CONFIG_MAP.kind, DEPLOYMENT.kind)]
    steps = (*_steps(observed, kept), *_scaled(observed, manifest, replicas))
    return Plan(Verdict(), steps, removals=removals, hold=observed.hold, desired=desired)


def _desired(observed: Observed, manifest: RelayManifest, replicas: int) -> Desired:
    known, made_from = observed.known, _made_from(observed)
    if known is not None and (known.made_from, known.upgraded_at, known.replicas) == (
        made_from,
        observed.upgraded_at,
        replicas,
    ):
        return known
    bodies = [service_account(manifest), config_map(manifest)]
    bodies += [disruption_budget(manifest)] if manifest.spec.is_critical else []
    pods, template = _pods(observed, manifest, replicas)
    children = tuple((body["kind"], body, digest_of(body)) for body in (*bodies, pods))
    return Desired(made_from, observed.upgraded_at, replicas, template, children)


def _made_from(observed: Observed) -> MadeFrom:
    return observed.identity.generation, observed.image, observed.credentials, observed.priority_class


def _is_torn(observed: Observed, replicas: int) -> bool:
    """Whether somebody changed or deleted what the pods that run are made from: then nothing is left to keep."""
    live = observed.children.get(DEPLOYMENT.kind)
    if live is None or CONFIG_MAP.kind not in observed.looked_at:
        # New pods need the config that belongs to them: between two surveys it is not known.
        return False
    for kind in (CONFIG_MAP.kind, DEPLOYMENT.kind):
        child, last = observed.children.get(kind), observed.applied.get(kind)
        if kind in observed.looked_at and child is None:
            return True
        rescaled = kind == DEPLOYMENT.kind and live.replicas != replicas
        if child is not None and last is not None and child.fingerprint != last.fingerprint and not rescaled:
            return True
    return False


def _scaled(observed: Observed, manifest: RelayManifest, replicas: int) -> tuple[Step, ...]:
    """The number of pods alone; with it the generation, where the template that is waited for is the same in it."""
    live = observed.children.get(DEPLOYMENT.kind)
    if live is None:
        return ()
    known = live.template.generation if live.template else -1
    notes = {}
    if observed.change is Change.UPGRADE and known != observed.identity.generation:
        notes = {ANNOTATION_TEMPLATE_GENERATION: str(observed.identity.generation)}
    if live.replicas == replicas and not notes:
        return ()
    metadata = {"uid": live.uid, **({"annotations": notes} if notes else {})}
    body: dict[str, Any] = {"metadata": metadata, "spec": {"replicas": replicas}}
    return (Step(DEPLOYMENT.kind, body, digest_of(body), partial=True),)


def _removals(observed: Observed, manifest: RelayManifest) -> tuple[Removal, ...]:
    budget = observed.children.get(DISRUPTION_BUDGET.kind)
    if manifest.spec.is_critical or budget is None or budget.ownership is not Ownership.OURS:
        return ()
    return (Removal(DISRUPTION_BUDGET.kind, child_name(observed.identity.name), budget.uid),)


def _replicas(observed: Observed, manifest: RelayManifest) -> int:
    replicas = asked_replicas(manifest)
    if replicas is not None:
        return replicas
    return first_replicas(manifest) if observed.replicas is None else observed.replicas


def _template(observed: Observed, manifest: RelayManifest) -> dict[str, Any]:
    return pod_template(manifest, observed.image, observed.credentials, observed.priority_class)


def _pods(observed: Observed, manifest: RelayManifest, replicas: int) -> tuple[dict[str, Any], str]:
    """The Deployment, and the digest of its pod template."""
    template = _template(observed, manifest)
    digest = digest_of(template)
    return deployment(manifest, template, _named(observed, digest), replicas), digest


def _named(observed: Observed, digest: str) -> Template:
    return Template(digest, observed.identity.generation, observed.credentials, observed.upgraded_at)


def _obstacle(observed: Observed) -> Plan | None:
    """The plan where an object of a child's name is not ours."""
    name = child_name(observed.identity.name)
    critical = observed.manifest is not None and observed.manifest.spec.is_critical
    kinds = [kind for kind in observed.children if critical or kind != DISRUPTION_BUDGET.kind]
    children = {kind: observed.children[kind] for kind in kinds}
    for kind, child in children.items():
        if child.ownership is Ownership.FOREIGN:
            message = f"{kind} {name} exists and {child.belongs}; remove it, or give this OutboxRelay another name"
            return Plan(Verdict(Reason.INVALID_SPEC, message))
    for kind, child in children.items():
        if child.ownership is Ownership.PREDECESSOR:
            message = f"waiting until {kind} {name} of the deleted OutboxRelay of this name is gone"
            return Plan(Verdict(Reason.PENDING, message), again_after=WAIT_SECONDS)
    return None


def _steps(observed: Observed, children: Sequence[tuple[str, dict[str, Any], str]]) -> tuple[Step, ...]:
    steps = []
    for kind, body, digest in children:
        if kind not in CHILD_KINDS or kind not in observed.looked_at:
            continue
        live, last = observed.children.get(kind), observed.applied.get(kind)
        unchanged = last is not None and last.digest == digest
        if live is None:
            steps.append(Step(kind, body, digest, drift="was deleted" if unchanged else ""))
        elif last is None or not unchanged:
            steps.append(Step(kind, body, digest))
        elif live.fingerprint != last.fingerprint:
            steps.append(Step(kind, body, digest, drift="was changed"))
    return tuple(steps)
