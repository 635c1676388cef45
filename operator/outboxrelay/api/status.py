"""status of an OutboxRelay, written by the controller only."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from outboxrelay.api.model import ApiModel

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC, whole seconds: 2026-01-31T23:59:59Z."""


class ConditionStatus(ApiModel):
    """One aspect of the relay's health, after Kubernetes' metav1.Condition."""

    type: str
    """Ready, Accepted, SourceReachable, TargetReachable, Available or Delivering."""
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


class ScalingStatus(ApiModel):
    """How many pods there are and should be."""

    desired_replicas: int
    """Pods that the spec asks for."""
    summary: str
    """ready/desired, as the Replicas column prints it."""


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
    conditions: Annotated[
        list[ConditionStatus],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
    """Ready and what it sums up."""
