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
    """Whether events are delivered. The summary: its reason is that of the first of the others that is not well."""
    ACCEPTED = "Accepted"
    """Whether the spec can be carried out: its fields, its Secrets, the table."""
    SOURCE_REACHABLE = "SourceReachable"
    """Whether the database can be used, as the operator and the pods see it."""
    TARGET_REACHABLE = "TargetReachable"
    """Whether the brokers and the topics take rows, as the operator and the pods see it."""
    AVAILABLE = "Available"
    """Whether enough pods run."""
    DELIVERING = "Delivering"
    """Whether rows move."""
    QUARANTINED = "Quarantined"
    """Whether rows wait for a person. True is bad."""
    LAG_WITHIN_OBJECTIVE = "LagWithinObjective"
    """Whether the oldest row is younger than objectives.maxLagSeconds. A relay that is late is Ready all the same."""
    SCALING_ACTIVE = "ScalingActive"
    """Whether the number of pods follows the backlog, or what keeps it from that."""
    ROLLED_OUT = "RolledOut"
    """Whether pods have the newest spec, and what they wait for."""


class Reason(StrEnum):
    """Machine-readable reasons: of conditions, of rows that cannot be sent, and of the relay's own report."""

    # Ready, Delivering
    DELIVERING = "Delivering"
    """Rows are being delivered."""
    PROGRESSING = "Progressing"
    """Rows are being delivered."""
    IDLE = "Idle"
    """Nothing waits in the table; of Available: no pod is asked for."""
    PAUSED = "Paused"
    """spec.state is Paused, or no pod is asked for: nothing is read."""
    STOPPED = "Stopped"
    """spec.state is Stopped, or spec.scaling.replicas is 0."""
    NO_PROGRESS = "NoProgress"
    """Rows wait and none was delivered for 20 s; of ScalingActive: more pods would not help with what waits."""
    RECOVERING = "Recovering"
    """A pod waits before it tries again what failed."""
    # Accepted
    ACCEPTED = "Accepted"
    """The spec is carried out."""
    INVALID_SPEC = "InvalidSpec"
    """A field, or two together, cannot be carried out; the message names them."""
    SECRET_NOT_FOUND = "SecretNotFound"
    """A Secret that the spec names is not there; pods that run go on."""
    SECRET_KEY_MISSING = "SecretKeyMissing"
    """A Secret has no such key."""
    CONFLICTING_RELAY = "ConflictingRelay"
    """An older OutboxRelay has the same table."""
    DEPENDENCY_CYCLE = "DependencyCycle"
    """The relay waits for itself, over dependsOn of others."""
    TABLE_NOT_FOUND = "TableNotFound"
    """The database has no such table."""
    SCHEMA_MISMATCH = "SchemaMismatch"
    """A column is missing or of a type that cannot be sent; the message names the field to set."""
    UNSUPPORTED_SERVER = "UnsupportedServer"
    """The server, its encoding, or a pooler before it cannot carry a relay."""
    # SourceReachable, TargetReachable
    CONNECTED = "Connected"
    """It answers."""
    CONNECT_FAILED = "ConnectFailed"
    """The database cannot be connected to."""
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    """The login was refused."""
    AUTHORIZATION_FAILED = "AuthorizationFailed"
    """The Kafka user may not do that; the message names the topic."""
    PERMISSION_DENIED = "PermissionDenied"
    """The database role lacks a privilege; the message names it."""
    TLS_FAILED = "TLSFailed"
    """TLS could not be agreed on: the authority, the name, or a date."""
    TIMEOUT = "Timeout"
    """No answer in time."""
    READ_ONLY = "ReadOnly"
    """The database takes no writes: a standby, or a server that was set so."""
    DATABASE_ERROR = "DatabaseError"
    """The database failed at a statement; the message has its SQLSTATE."""
    TOO_MANY_CONNECTIONS = "TooManyConnections"
    """The server, the role or the database has no connection left."""
    BROKER_UNAVAILABLE = "BrokerUnavailable"
    """No broker answers, or none takes rows."""
    TOPIC_NOT_FOUND = "TopicNotFound"
    """The topic does not exist; a relay creates none."""
    NOT_ENOUGH_IN_SYNC_REPLICAS = "NotEnoughInSyncReplicas"
    """Fewer replicas are in sync than min.insync.replicas asks for."""
    PROBE_STALE = "ProbeStale"
    """Nobody could ask for 15 s: unknown, and not a guess."""
    PRODUCER_FATAL = "ProducerFatal"
    """The Kafka client cannot go on; the relay begins again with a new one, from the table."""
    # Available
    MINIMUM_REPLICAS_READY = "MinimumReplicasReady"
    """As many pods as are asked for are ready."""
    CRASH_LOOPING = "CrashLooping"
    """A pod keeps ending."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The image cannot be pulled."""
    UNSCHEDULABLE = "Unschedulable"
    """A pod finds no place, or is refused."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """A quota of the namespace keeps pods from being created."""
    ROLLING_OUT = "RollingOut"
    """Pods are being replaced; not ready where that has passed its deadline of 120 s."""
    # RolledOut
    UP_TO_DATE = "UpToDate"
    """No pod is of an older spec."""
    WAITING_FOR_DEPENDENCY = "WaitingForDependency"
    """A relay in dependsOn is not Ready with its newest spec."""
    DEPENDENCY_NOT_FOUND = "DependencyNotFound"
    """dependsOn names a relay that does not exist."""
    WAITING_FOR_TURN = "WaitingForTurn"
    """The operator was upgraded, and other relays come first."""
    UPGRADE_STOPPED = "UpgradeStopped"
    """The operator was upgraded, and a relay that got new pods has a new incident since."""
    # one row
    ROW_TOO_LARGE = "RowTooLarge"
    """The row is larger than its topic, or the relay, takes."""
    ROW_REJECTED = "RowRejected"
    """The broker refused the row itself."""
    ROW_UNMAPPABLE = "RowUnmappable"
    """No message can be made of the row: no payload, headers that are no object, a topic that is not allowed."""
    ROW_ENDS_PROCESS = "RowEndsProcess"
    """Attempts to send the row were begun and never finished: the process ended."""
    # Quarantined
    NONE = "None"
    """No row waits for a person."""
    POISON_ROWS = "PoisonRows"
    """Rows that cannot be sent were moved aside, or hold their keys."""
    QUARANTINE_LIMIT = "QuarantineLimit"
    """As many rows are in quarantine as poison.maxQuarantinedRows allows; further ones hold their keys."""
    # LagWithinObjective
    WITHIN_OBJECTIVE = "WithinObjective"
    """No row waits for longer than it may."""
    OBJECTIVE_MISSED = "ObjectiveMissed"
    """The oldest row waits for longer than it may."""
    LAG_UNKNOWN = "LagUnknown"
    """The table has no time column, or the oldest row no time."""
    # ScalingActive
    ACTIVE = "Active"
    """The number of pods follows the backlog."""
    MANUAL = "Manual"
    """spec.scaling.replicas is the number."""
    EXTERNAL = "External"
    """An autoscaler of yours sets the number."""
    DRY_RUN = "DryRun"
    """The operator decides and tells, and changes nothing."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """The table cannot be counted, or pods do not tell: the number stays."""
    TARGET_DOWN = "TargetDown"
    """Kafka cannot be used: the number stays."""
    SOURCE_SATURATED = "SourceSaturated"
    """The database is at its limit: no more pods, and fewer after a minute."""
    RECOVERY_RAMP = "RecoveryRamp"
    """Pods return to full speed after an outage: the number stays."""
    INEFFECTIVE = "Ineffective"
    """The last step up did not help and was taken back; more are not tried for a while."""
    AT_MAXIMUM = "AtMaximum"
    """More pods are wanted than maxReplicas, or the shards, allow."""
    BUDGET_EXHAUSTED = "BudgetExhausted"
    """More pods are wanted than source.database.maxConnections allows."""
    # unknown so far
    PENDING = "Pending"
    """Not looked at yet."""


_OF_BOTH_SIDES = (Reason.CONNECTED, Reason.AUTHENTICATION_FAILED, Reason.TLS_FAILED)
REASONS: Final[dict[Condition, tuple[Reason, ...]]] = {
    Condition.READY: (Reason.DELIVERING, Reason.IDLE, Reason.PAUSED, Reason.STOPPED),
    Condition.ACCEPTED: (
        *(Reason.ACCEPTED, Reason.INVALID_SPEC, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_MISSING),
        *(Reason.CONFLICTING_RELAY, Reason.DEPENDENCY_CYCLE, Reason.TABLE_NOT_FOUND, Reason.SCHEMA_MISMATCH),
        *(Reason.UNSUPPORTED_SERVER, Reason.PENDING),
    ),
    Condition.SOURCE_REACHABLE: (
        *_OF_BOTH_SIDES,
        *(Reason.CONNECT_FAILED, Reason.TIMEOUT, Reason.PERMISSION_DENIED, Reason.READ_ONLY, Reason.DATABASE_ERROR),
        *(Reason.TOO_MANY_CONNECTIONS, Reason.PROBE_STALE, Reason.PENDING),
    ),
    Condition.TARGET_REACHABLE: (
        *_OF_BOTH_SIDES,
        *(Reason.BROKER_UNAVAILABLE, Reason.AUTHORIZATION_FAILED, Reason.TOPIC_NOT_FOUND),
        *(Reason.NOT_ENOUGH_IN_SYNC_REPLICAS, Reason.PRODUCER_FATAL, Reason.PROBE_STALE, Reason.PENDING),
    ),
    Condition.AVAILABLE: (
        *(Reason.MINIMUM_REPLICAS_READY, Reason.ROLLING_OUT, Reason.CRASH_LOOPING, Reason.IMAGE_PULL_FAILED),
        *(Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED, Reason.IDLE, Reason.WAITING_FOR_DEPENDENCY),
        *(Reason.DEPENDENCY_NOT_FOUND, Reason.PENDING),
    ),
    Condition.DELIVERING: (
        *(Reason.PROGRESSING, Reason.IDLE, Reason.NO_PROGRESS, Reason.RECOVERING, Reason.PAUSED),
        *(Reason.WAITING_FOR_DEPENDENCY, Reason.DEPENDENCY_NOT_FOUND, Reason.PROBE_STALE, Reason.PENDING),
    ),
    Condition.LAG_WITHIN_OBJECTIVE: (
        *(Reason.WITHIN_OBJECTIVE, Reason.OBJECTIVE_MISSED, Reason.LAG_UNKNOWN, Reason.PROBE_STALE),
    ),
    Condition.SCALING_ACTIVE: (
        *(Reason.ACTIVE, Reason.MANUAL, Reason.EXTERNAL, Reason.DRY_RUN, Reason.METRICS_UNAVAILABLE),
        *(Reason.TARGET_DOWN, Reason.SOURCE_SATURATED, Reason.NO_PROGRESS, Reason.RECOVERY_RAMP, Reason.INEFFECTIVE),
        *(Reason.AT_MAXIMUM, Reason.BUDGET_EXHAUSTED, Reason.PAUSED, Reason.STOPPED, Reason.PENDING),
    ),
    Condition.QUARANTINED: (Reason.NONE, Reason.POISON_ROWS, Reason.QUARANTINE_LIMIT, Reason.PENDING),
    Condition.ROLLED_OUT: (
        *(Reason.UP_TO_DATE, Reason.ROLLING_OUT, Reason.WAITING_FOR_DEPENDENCY, Reason.DEPENDENCY_NOT_FOUND),
        *(Reason.WAITING_FOR_TURN, Reason.UPGRADE_STOPPED, Reason.PENDING),
    ),
}
"""The reasons of each condition; Ready has those of whichever is not well too."""
