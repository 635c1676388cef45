"""What is to be done for one relay, decided from what was observed. Pure: the same observation, the same plan.

A plan for a relay that is as it should be holds no step, so that an operator that comes back touches nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outboxrelay.api.manifest import RelayIdentity, RelayManifest
from outboxrelay.api.names import Reason, child_name
from outboxrelay.decisions.facts import Verdict
from outboxrelay.manifests.config_map import config_map
from outboxrelay.manifests.deployment import asked_replicas, deployment, first_replicas
from outboxrelay.manifests.kinds import CHILD_KINDS, DEPLOYMENT
from outboxrelay.manifests.ownership import Ownership
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


@dataclass(frozen=True, slots=True)
class Applied:
    """What was last applied, and the fingerprint that the object had then."""

    digest: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Desired:
    """The children that were last worked out, and from what: they are the same while that is."""

    generation: int
    image: str
    credentials: str
    replicas: int
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


@dataclass(frozen=True, slots=True)
class Step:
    """One object to apply."""

    kind: str
    body: dict[str, Any]
    digest: str
    drift: str = ""
    """What had happened to the object, where it is applied only because of that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The verdict on the relay, and what to do, in order."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    again_after: float | None = None
    """Seconds after which to look again, where something is waited for."""
    desired: Desired | None = None
    """To be given to the next plan for this relay."""


WAIT_SECONDS = 1.0


def plan(observed: Observed) -> Plan:
    """The plan for one relay."""
    manifest = observed.manifest
    if manifest is None:
        return Plan(observed.refusal or Verdict(Reason.INVALID_SPEC, "the spec cannot be read"))
    if obstacle := _obstacle(observed):
        return obstacle
    if observed.refusal is None:
        desired = _desired(observed, manifest)
        return Plan(Verdict(), _steps(observed, desired.children), desired=desired)
    if DEPLOYMENT.kind not in observed.children or not _must_stop(observed.refusal, manifest):
        return Plan(observed.refusal)
    stopped = deployment(manifest, image=observed.image, credentials=observed.credentials, replicas=0)
    return Plan(observed.refusal, _steps(observed, [(DEPLOYMENT.kind, stopped, digest_of(stopped))]))


def digest_of(body: Mapping[str, Any]) -> str:
    """A short name for the content of ``body``."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _must_stop(refusal: Verdict, manifest: RelayManifest) -> bool:
    """A missing Secret leaves running pods alone; a second relay on a table must not run."""
    return refusal.reason is Reason.CONFLICTING_RELAY or asked_replicas(manifest) == 0


def _desired(observed: Observed, manifest: RelayManifest) -> Desired:
    replicas = asked_replicas(manifest)
    if replicas is None:
        replicas = first_replicas(manifest) if observed.replicas is None else observed.replicas
    known, inputs = observed.known, (observed.identity.generation, observed.image, observed.credentials, replicas)
    if known is not None and inputs == (known.generation, known.image, known.credentials, known.replicas):
        return known
    pods = deployment(manifest, image=observed.image, credentials=observed.credentials, replicas=replicas)
    bodies = [service_account(manifest), config_map(manifest), pods]
    return Desired(*inputs, tuple((body["kind"], body, digest_of(body)) for body in bodies))


def _obstacle(observed: Observed) -> Plan | None:
    """The plan where an object of a child's name is not ours."""
    name = child_name(observed.identity.name)
    for kind, child in observed.children.items():
        if child.ownership is Ownership.FOREIGN:
            message = f"{kind} {name} exists and {child.belongs}; remove it, or give this OutboxRelay another name"
            return Plan(Verdict(Reason.INVALID_SPEC, message))
    for kind, child in observed.children.items():
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
