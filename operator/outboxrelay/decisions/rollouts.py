"""New pods for a relay: why its pod template changed, and when a new version of the operator may replace its pods.

An upgrade replaces the pods of a bounded number of relays at a time, critical ones last, and stops where a relay that
it has just been through has a new incident.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from outboxrelay.api.incidents import IncidentStatus
from outboxrelay.api.names import ANNOTATION_ROLLOUT, PROCEED, Condition, Reason
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.facts import DeploymentFacts, Facts, Finding, Hold

BLAME_SECONDS = 600.0
"""An incident that begins later than this after an upgrade is not put down to it."""


class Change(StrEnum):
    """Why pods have to be made from another template."""

    NONE = "none"
    FIRST = "first"
    """There has never been a pod."""
    DECLARED = "declared"
    """The spec or a Secret changed."""
    UPGRADE = "upgrade"
    """The operator makes other pods from the same spec."""


@dataclass(frozen=True, slots=True)
class Template:
    """What a pod template was made from."""

    digest: str
    generation: int
    credentials: str
    upgraded_at: str = ""
    """When an upgrade brought it, RFC 3339; empty where a change of the spec did."""


def change_of(live: Template | None, wanted: Template, *, has_run: bool, made_here: bool, awaited: str) -> Change:
    """``live`` is None without a Deployment; ``made_here``: whether this leader wrote it; ``awaited`` is the digest
    that was wanted at the last look."""
    if live is None:
        return Change.NONE if has_run else Change.FIRST
    if live.digest == wanted.digest:
        return Change.NONE
    if not live.digest:
        # Somebody took the note away, or an older operator left none.
        return Change.NONE if made_here else Change.UPGRADE
    # A new number of replicas is a new generation too: what is awaited already stays what it is.
    scaled = awaited == wanted.digest
    declared = live.credentials != wanted.credentials or (live.generation != wanted.generation and not scaled)
    return Change.DECLARED if declared else Change.UPGRADE


@dataclass(frozen=True, slots=True)
class Standing:
    """One relay in an upgrade."""

    critical: bool = False
    pending: bool = False
    """Whether its pods are still to be replaced."""
    blocked: bool = False
    """Whether it waits for something else than its turn."""
    rolling: bool = False
    """Whether its pods are being replaced, or have been for less than the time that they are watched."""
    incident: str = ""
    """Type of an incident that it has since."""
    depends_on: tuple[Key, ...] = ()


def turn(key: Key, fleet: Mapping[Key, Standing], at_once: int) -> Hold | None:
    """Why the pods of ``key`` are not replaced yet; None: now."""
    mine = fleet[key]
    for other, standing in sorted(fleet.items()):
        if standing.incident and other != key:
            return Hold(Reason.UPGRADE_STOPPED, stopped("/".join(other), standing.incident))
    first = next((other for other in mine.depends_on if _is_pending(other, fleet)), None)
    if first is not None:
        message = f"the operator was upgraded: OutboxRelay {first[1]}, which it depends on, gets new pods first"
        return Hold(Reason.WAITING_FOR_DEPENDENCY, message)
    if mine.critical and any(not item.critical and _counts(item, fleet) for item in fleet.values()):
        message = "the operator was upgraded: critical relays get new pods when all others have theirs"
        return Hold(Reason.WAITING_FOR_TURN, message)
    if sum(item.rolling for item in fleet.values()) >= at_once:
        message = f"the operator was upgraded: new pods come to {at_once} relays at a time"
        return Hold(Reason.WAITING_FOR_TURN, message)
    return None


def stopped(relay: str, incident: str) -> str:
    """What is said while an upgrade stands still."""
    return (
        f"the upgrade of pods stopped: OutboxRelay {relay} has the incident {incident} since it got new ones; it goes "
        f"on when that is resolved, or with the annotation {ANNOTATION_ROLLOUT}={PROCEED} on that OutboxRelay"
    )


def blamed(incidents: Sequence[IncidentStatus], upgraded_at: str) -> str:
    """The type of the first open incident that began after an upgrade and soon enough to be put down to it."""
    begun = _moment(upgraded_at)
    if begun is None:
        return ""
    for item in incidents:
        started = _moment(item.started_at)
        if item.state == "Open" and started and begun <= started <= begun + timedelta(seconds=BLAME_SECONDS):
            return item.type
    return ""


def is_under_way(deployment: DeploymentFacts | None, upgraded_at: str, now: datetime, watched: float) -> bool:
    """Whether an upgrade is still replacing pods, or has ended less than ``watched`` seconds ago."""
    begun = _moment(upgraded_at)
    if begun is None or deployment is None or deployment.desired == 0:
        return False
    if now - begun > timedelta(seconds=BLAME_SECONDS):
        # Whoever needs so long has an incident, which stops everything, or did before.
        return False
    if not (deployment.complete and deployment.ready >= deployment.desired):
        return True
    ended = _moment(deployment.progressed_at) or begun
    return now - max(begun, ended) < timedelta(seconds=watched)


def rolled_out(facts: Facts) -> Finding:
    """The condition RolledOut: whether pods are made from the newest spec by this version, and what they wait for."""
    kind, hold, deployment = Condition.ROLLED_OUT, facts.hold, facts.deployment
    if not facts.verdict.accepted:
        return Finding(kind, "Unknown", facts.verdict.reason, "pods stay as they are until the spec is accepted")
    if hold is not None:
        return Finding(kind, "False", hold.reason, hold.message)
    if deployment is None:
        return Finding(kind, "Unknown", Reason.PENDING, "the Deployment has not been observed yet")
    if not deployment.complete:
        return Finding(kind, "False", Reason.ROLLING_OUT, "pods are replaced one after the other, a new one first")
    return Finding(kind, "True", Reason.UP_TO_DATE, "no pod is of an older spec")


def _is_pending(key: Key, fleet: Mapping[Key, Standing]) -> bool:
    found = fleet.get(key)
    return found is not None and (found.pending or found.rolling)


def _counts(item: Standing, fleet: Mapping[Key, Standing]) -> bool:
    """Whether critical relays wait for this one: not where it waits for somebody itself."""
    if item.rolling:
        return True
    return item.pending and not item.blocked and not any(_is_pending(key, fleet) for key in item.depends_on)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
