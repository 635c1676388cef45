"""Every name that users, dashboards and scripts may depend on: the resource, labels, files, conditions, reasons."""

from enum import StrEnum
from typing import Final

GROUP: Final = "outboxrelay.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "OutboxRelay"
PLURAL: Final = "outboxrelays"
SHORT_NAME: Final = "obr"

MAX_NAME_LENGTH: Final = 52
"""Characters of an OutboxRelay's name: child names and label values derive from it."""

LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_RELAY: Final = f"{GROUP}/relay"
"""Set on every child to the name of its OutboxRelay; the controller's watches select on it."""
LABEL_CHAIN: Final = f"{GROUP}/chain"
"""On an OutboxRelay, by its owner: the name of a chain of relays that feed each other."""
LABEL_CHAIN_STAGE: Final = f"{GROUP}/chain-stage"
"""Beside it: a whole number; relays with a lower one come before, those with the same one are side by side."""
RELAY_APP_NAME: Final = "outbox-relay"
MANAGER: Final = "outbox-relay-operator"
"""Field manager of server-side apply, and the value of the managed-by label."""

ANNOTATION_CREDENTIALS_HASH: Final = f"{GROUP}/credentials-hash"
ANNOTATION_CONFIG_HASH: Final = f"{GROUP}/config-hash"
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""On the Deployment: which pod template the operator made, before the API server filled it in."""
ANNOTATION_TEMPLATE_GENERATION: Final = f"{GROUP}/template-generation"
"""On the Deployment: the generation of the OutboxRelay that its pod template is good for."""
ANNOTATION_UPGRADED_AT: Final = f"{GROUP}/upgraded-at"
"""On the Deployment: when a new version of the operator replaced the pods."""
ANNOTATION_ROLLOUT: Final = f"{GROUP}/rollout"
"""On an OutboxRelay, by people: with the value Proceed its new pods wait for nothing, and its incidents stop no
upgrade."""
PROCEED: Final = "Proceed"

CONFIG_DIRECTORY: Final = "/etc/outboxrelay/config"
CONFIG_FILE: Final = "relay.yaml"
CREDENTIALS_DIRECTORY: Final = "/etc/outboxrelay/credentials"
"""Holds one directory for each referenced Secret, in it one file for each referenced key."""
RELAY_PORT: Final = 8080
"""TCP port of a relay pod: /livez /readyz /state /metrics."""


def child_name(relay: str) -> str:
    """The name of every child of the OutboxRelay ``relay``."""
    return f"{relay}-relay"


class Condition(StrEnum):
    """Condition types of an OutboxRelay; Ready sums up the others."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    SOURCE_REACHABLE = "SourceReachable"
    TARGET_REACHABLE = "TargetReachable"
    AVAILABLE = "Available"
    DELIVERING = "Delivering"
    QUARANTINED = "Quarantined"
    LAG_WITHIN_OBJECTIVE = "LagWithinObjective"
    SCALING_ACTIVE = "ScalingActive"
    ROLLED_OUT = "RolledOut"


class Reason(StrEnum):
    """Machine-readable reasons: of conditions, of Events, and of the relay's own report."""

    # Ready, Delivering
    DELIVERING = "Delivering"
    PROGRESSING = "Progressing"
    IDLE = "Idle"
    PAUSED = "Paused"
    STOPPED = "Stopped"
    NO_PROGRESS = "NoProgress"
    RECOVERING = "Recovering"
    # Accepted
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    CONFLICTING_RELAY = "ConflictingRelay"
    DEPENDENCY_CYCLE = "DependencyCycle"
    TABLE_NOT_FOUND = "TableNotFound"
    SCHEMA_MISMATCH = "SchemaMismatch"
    UNSUPPORTED_SERVER = "UnsupportedServer"
    # SourceReachable, TargetReachable
    CONNECTED = "Connected"
    CONNECT_FAILED = "ConnectFailed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    AUTHORIZATION_FAILED = "AuthorizationFailed"
    PERMISSION_DENIED = "PermissionDenied"
    TLS_FAILED = "TLSFailed"
    TIMEOUT = "Timeout"
    READ_ONLY = "ReadOnly"
    DATABASE_ERROR = "DatabaseError"
    TOO_MANY_CONNECTIONS = "TooManyConnections"
    BROKER_UNAVAILABLE = "BrokerUnavailable"
    TOPIC_NOT_FOUND = "TopicNotFound"
    NOT_ENOUGH_IN_SYNC_REPLICAS = "NotEnoughInSyncReplicas"
    PROBE_STALE = "ProbeStale"
    PRODUCER_FATAL = "ProducerFatal"
    # Available
    MINIMUM_REPLICAS_READY = "MinimumReplicasReady"
    CRASH_LOOPING = "CrashLooping"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ROLLING_OUT = "RollingOut"
    # RolledOut
    UP_TO_DATE = "UpToDate"
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    DEPENDENCY_NOT_FOUND = "DependencyNotFound"
    WAITING_FOR_TURN = "WaitingForTurn"
    UPGRADE_STOPPED = "UpgradeStopped"
    # one row
    ROW_TOO_LARGE = "RowTooLarge"
    ROW_REJECTED = "RowRejected"
    ROW_UNMAPPABLE = "RowUnmappable"
    ROW_ENDS_PROCESS = "RowEndsProcess"
    # Quarantined
    NONE = "None"
    POISON_ROWS = "PoisonRows"
    QUARANTINE_LIMIT = "QuarantineLimit"
    # LagWithinObjective
    WITHIN_OBJECTIVE = "WithinObjective"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    LAG_UNKNOWN = "LagUnknown"
    # ScalingActive
    ACTIVE = "Active"
    MANUAL = "Manual"
    EXTERNAL = "External"
    DRY_RUN = "DryRun"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    TARGET_DOWN = "TargetDown"
    SOURCE_SATURATED = "SourceSaturated"
    RECOVERY_RAMP = "RecoveryRamp"
    INEFFECTIVE = "Ineffective"
    AT_MAXIMUM = "AtMaximum"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    # unknown so far
    PENDING = "Pending"
