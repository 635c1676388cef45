"""status of an OutboxRelay, written by the controller only."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from outboxrelay.api.incidents import MAX_INCIDENTS, IncidentStatus
from outboxrelay.api.model import ApiModel

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC, whole seconds: 2026-01-31T23:59:59Z."""


class ConditionStatus(ApiModel):
    """One aspect of the relay's health, after Kubernetes' metav1.Condition."""

    type: str
    """Ready, Accepted, SourceReachable, TargetReachable, Available, Delivering, LagWithinObjective, ScalingActive,
    RolledOut or Quarantined."""
    status: Literal["True", "False", "Unknown"]
    """Unknown means that it cannot be observed now, never a guess."""
    observed_generation: int | None = None
    """Generation of the spec that this was found for."""
    last_transition_time: Timestamp
    """When status last changed."""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """The cause in one word, for machines."""
    message: Annotated[str, StringConstraints(max_length=4096)]
    """The cause in one sentence, for people."""


class Backlog(ApiModel):
    """What waits in the outbox table, counted by the controller; rounded, renewed at most every 15 s."""

    rows: int
    """Pending rows that can be delivered (rows of held keys are not counted)."""
    exact: bool
    """False where counting stopped at its bound, and there are more."""
    display: str
    """rows as the Backlog column prints it, for example 12k or >100k."""
    oldest_age_seconds: int | None = None
    """Age in seconds of the oldest row that can be delivered."""
    lag_display: str
    """oldestAgeSeconds as the Lag column prints it, for example 3s or 2m10s."""
    delivered_per_second: int
    """Rows per second, all pods together."""
    observed_at: Timestamp
    """When this was counted."""


class HeldStatus(ApiModel):
    """Keys that wait because one of their rows cannot be sent."""

    keys: int
    """Number of such keys."""
    examples: Annotated[list[str], Field(max_length=5)] = []
    """Up to five of the rows: id, key, reason and message."""


class GateStatus(ApiModel):
    """Something that a decision on the number of pods asks, in order: six gates, then the ways up, down and to zero."""

    name: str
    """Of a gate the reason that it publishes where it is shut."""
    shut: bool
    """Whether it keeps the number of pods as it is."""
    detail: str
    """What was found, in one sentence."""


class ScalingDecision(ApiModel):
    """How the operator came to the number of pods, with its numbers; rounded, renewed at most every 15 s."""

    at: Timestamp
    """When this was decided."""
    replicas: int
    """Pods asked for before."""
    desired: int
    """Pods that were decided on."""
    reason: str
    """As in the condition ScalingActive."""
    message: str
    """Why, in one sentence."""
    backlog_rows: int | None = None
    """Rows that can be delivered."""
    backlog_exact: bool = True
    """False where counting stopped at its bound, and there are more."""
    lag_seconds: int | None = None
    """Age of the oldest of them."""
    delivered_per_second: int | None = None
    """Rows per second, all pods together."""
    arriving_per_second: int | None = None
    """Rows per second that writers add: what is delivered, and what the backlog grew by."""
    capacity_per_second: int | None = None
    """Rows per second that one pod delivers at most."""
    capacity_learned: bool = False
    """Whether that was seen while pods had as much to do as they can; otherwise it is no less than that."""
    busy_percent: int | None = None
    """Share of time in which pods did not wait for rows."""
    full_percent: int | None = None
    """Share of time in which more rows waited than a pod reads at once."""
    read_milliseconds: int | None = None
    """95th percentile of the reads of the slowest pod."""
    pod_start_seconds: int | None = None
    """Seconds until a new pod takes part."""
    need_per_second: int | None = None
    """Rows per second that should be possible: for the backlog, for what arrives until pods start, and for what
    arrives."""
    want: int | None = None
    """Pods for that, within minimum and maximum."""
    minimum: int
    """Fewest pods."""
    maximum: int
    """Most pods."""
    maximum_from: str
    """The field that the maximum comes from."""
    gates: Annotated[list[GateStatus], Field(max_length=10)] = []
    """The gates in order; the first that is shut decides."""


class ScalingStep(ApiModel):
    """The last change of the number of pods that the operator decided on."""

    at: Timestamp
    """When."""
    from_: Annotated[int, Field(alias="from")]
    """Pods before."""
    to: int
    """Pods after."""
    reason: str
    """ScaledUp, ScaledDown, ScaleReverted, ScaledToZero or Woken."""
    message: str
    """Why, with its numbers."""


class ScalingStatus(ApiModel):
    """How many pods there are and should be."""

    mode: Literal["Auto", "Manual", "External"] | None = None
    """Who decides."""
    dry_run: bool = False
    """Whether decisions are published only."""
    desired_replicas: int
    """Pods that are asked for."""
    summary: str
    """ready/desired or ready/desired/most, as the Replicas column prints it."""
    blocked_until: Timestamp | None = None
    """More pods are not tried before this, since they did not help."""
    blocks: int = 0
    """How often in a row more pods did not help."""
    last_step: ScalingStep | None = None
    """The last change of the number of pods that the operator decided on."""
    last_decision: ScalingDecision | None = None
    """How the operator came to the number of pods."""


class OutboxRelayStatus(ApiModel):
    """What the operator observed."""

    observed_generation: int | None = None
    """Generation of the spec that this status tells about."""
    operator_version: str | None = None
    """Version of the operator that wrote this."""
    replicas: int | None = None
    """Pods of the relay's Deployment."""
    ready_replicas: int | None = None
    """Pods that are ready."""
    selector: str | None = None
    """Label selector of the pods, for the scale subresource."""
    backlog: Backlog | None = None
    """What waits in the table."""
    held: HeldStatus | None = None
    """Keys that wait because one of their rows cannot be sent."""
    quarantined_rows: int | None = None
    """Rows of this relay in outboxrelay.quarantine; absent where that cannot be read."""
    limitations: Annotated[list[str], Field(max_length=20)] = []
    """What the relay cannot do as it is set up, and what to do about it."""
    notices: Annotated[list[str], Field(max_length=20)] = []
    """What somebody should know: partitions that were added, a transaction that is open for long, a Secret whose new
    values do not work."""
    scaling: ScalingStatus | None = None
    """How many pods there are and should be."""
    open_incidents: int | None = None
    """Incidents that are open, as the Incidents column prints them."""
    incidents: Annotated[
        list[IncidentStatus],
        Field(
            max_length=MAX_INCIDENTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = []
    """Faults that are there, and the last few that were."""
    conditions: Annotated[
        list[ConditionStatus],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
    """Ready and what it sums up."""
