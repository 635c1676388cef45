"""Incidents as users meet them: their types, and status.incidents. Every type has a page docs/incidents/<type>.md."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from outboxrelay.api.model import ApiModel

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
MAX_INCIDENTS: Final = 40
MAX_INCIDENT_MESSAGE: Final = 1000
RUNBOOKS: Final = "docs/incidents"
"""Where the pages are in this repository; also the default base of their links."""


class IncidentType(StrEnum):
    """What kind of fault an incident is: one type for each thing that somebody would do about it."""

    # the database
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    DATABASE_TLS_FAILED = "DatabaseTLSFailed"
    DATABASE_CONNECTIONS_EXHAUSTED = "DatabaseConnectionsExhausted"
    DATABASE_ACCESS_DENIED = "DatabaseAccessDenied"
    DATABASE_READ_ONLY = "DatabaseReadOnly"
    DATABASE_ERRORS = "DatabaseErrors"
    TABLE_UNUSABLE = "TableUnusable"
    TRANSACTION_HELD_OPEN = "TransactionHeldOpen"
    # the brokers
    BROKER_UNAVAILABLE = "BrokerUnavailable"
    BROKER_TLS_FAILED = "BrokerTLSFailed"
    BROKER_ACCESS_DENIED = "BrokerAccessDenied"
    NOT_ENOUGH_REPLICAS = "NotEnoughReplicas"
    TOPIC_UNAVAILABLE = "TopicUnavailable"
    # what was declared
    SECRET_MISSING = "SecretMissing"
    SPEC_REFUSED = "SpecRefused"
    # the pods
    RELAY_CRASH_LOOPING = "RelayCrashLooping"
    RELAY_IMAGE_PULL_FAILED = "RelayImagePullFailed"
    RELAY_UNSCHEDULABLE = "RelayUnschedulable"
    RELAY_UNRESPONSIVE = "RelayUnresponsive"
    RELAY_UNREACHABLE = "RelayUnreachable"
    RELAY_NOT_READY = "RelayNotReady"
    ROLLOUT_STALLED = "RolloutStalled"
    # the delivery
    NO_PROGRESS = "NoProgress"
    LAG_OBJECTIVE_MISSED = "LagObjectiveMissed"
    POISON_ROWS = "PoisonRows"
    QUARANTINE_FULL = "QuarantineFull"
    # the operator
    OPERATOR_FAILOVER = "OperatorFailover"


class Severity(StrEnum):
    """Critical: events do not flow as they should. Warning: somebody should look, before it gets worse."""

    WARNING = "Warning"
    CRITICAL = "Critical"


class IncidentStatus(ApiModel):
    """A fault with its start, its detection and its end."""

    id: str
    """Stays the same as long as the incident lives, through a change of the operator's leader too."""
    type: str
    """What kind of fault it is; docs/incidents has a page for each."""
    scope: str = ""
    """What is at fault where that is not this relay alone: hosts of the database or the brokers."""
    severity: Literal["Warning", "Critical"]
    """Critical: events do not flow as they should. Warning: somebody should look."""
    state: Literal["Open", "Resolved"]
    """Whether the fault is there now."""
    started_at: Timestamp
    """When it was first observed."""
    detected_at: Timestamp
    """When it was opened: a fault must be seen twice."""
    resolved_at: Timestamp | None = None
    """When it was first observed to be gone; it must stay gone for three looks."""
    occurrences: int = 1
    """How often it came back within ten minutes of its end, the first time included."""
    reason: str
    """The cause in one word."""
    message: Annotated[str, StringConstraints(max_length=MAX_INCIDENT_MESSAGE)]
    """The cause in one sentence, as it was when the incident was opened or its reason last changed."""
    parent: str | None = None
    """Id that relays share which lost the same database or the same brokers at the same time."""
    runbook: str
    """Page that says what it means, how to look, and how to end it."""
