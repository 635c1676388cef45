"""What is known of each type of incident beside its name: how bad it is, how soon it counts, what it explains."""

from dataclasses import dataclass

from outboxrelay.api.incidents import IncidentType, Severity

OPEN_TICKS = 2
CLOSE_TICKS = 3
MOST_CLOSE_TICKS = 24


@dataclass(frozen=True, slots=True)
class Kind:
    """One type."""

    type: IncidentType
    severity: Severity
    title: str
    """A few words for the head of a notification."""
    open_ticks: int = OPEN_TICKS
    """Looks in a row that must see the fault before it is opened."""
    close_ticks: int = CLOSE_TICKS
    """Looks in a row that must not see it before it is closed."""
    shared: bool = False
    """Whether it is the fault of a database or of brokers that other relays use too."""
    explains: bool = False
    """Whether rows that do not move are no wonder while it lasts."""
    symptom: bool = False
    """Whether it is told only where nothing else explains it."""


CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING

_KINDS = (
    Kind(IncidentType.DATABASE_UNAVAILABLE, CRITICAL, "database does not answer", shared=True, explains=True),
    Kind(IncidentType.DATABASE_TLS_FAILED, CRITICAL, "TLS to the database fails", shared=True, explains=True),
    Kind(
        IncidentType.DATABASE_CONNECTIONS_EXHAUSTED,
        CRITICAL,
        "database has no connection left",
        shared=True,
        explains=True,
    ),
    Kind(IncidentType.DATABASE_ACCESS_DENIED, CRITICAL, "database refuses the relay", shared=True, explains=True),
    Kind(IncidentType.DATABASE_READ_ONLY, CRITICAL, "database is read-only", shared=True, explains=True),
    Kind(IncidentType.DATABASE_ERRORS, CRITICAL, "database fails at statements", shared=True, explains=True),
    Kind(IncidentType.TABLE_UNUSABLE, CRITICAL, "outbox table does not fit", explains=True),
    Kind(IncidentType.TRANSACTION_HELD_OPEN, WARNING, "a transaction is open for long"),
    Kind(IncidentType.BROKER_UNAVAILABLE, CRITICAL, "brokers do not answer", shared=True, explains=True),
    Kind(IncidentType.BROKER_TLS_FAILED, CRITICAL, "TLS to the brokers fails", shared=True, explains=True),
    Kind(IncidentType.BROKER_ACCESS_DENIED, CRITICAL, "brokers refuse the login", shared=True, explains=True),
    Kind(IncidentType.NOT_ENOUGH_REPLICAS, CRITICAL, "too few in-sync replicas", shared=True, explains=True),
    Kind(IncidentType.TOPIC_UNAVAILABLE, CRITICAL, "a topic takes nothing", explains=True),
    Kind(IncidentType.SECRET_MISSING, CRITICAL, "a Secret is missing"),
    Kind(IncidentType.SPEC_REFUSED, WARNING, "the spec cannot be carried out"),
    # Kubernetes has seen several ends already before it calls something a crash loop.
    # Between two ends a process runs for a while and looks well.
    Kind(IncidentType.RELAY_CRASH_LOOPING, CRITICAL, "pods keep ending", open_ticks=1, close_ticks=12, explains=True),
    Kind(IncidentType.RELAY_IMAGE_PULL_FAILED, CRITICAL, "the image cannot be pulled", explains=True),
    Kind(IncidentType.RELAY_UNSCHEDULABLE, CRITICAL, "pods find no place", explains=True),
    Kind(IncidentType.RELAY_UNRESPONSIVE, CRITICAL, "a pod does not answer", explains=True),
    Kind(IncidentType.RELAY_UNREACHABLE, WARNING, "the operator cannot reach the pods"),
    Kind(IncidentType.RELAY_NOT_READY, WARNING, "a pod is not ready any more", symptom=True),
    Kind(IncidentType.ROLLOUT_STALLED, WARNING, "a rollout does not end", symptom=True),
    # That nothing moved for so long is what several looks in a row have seen.
    Kind(IncidentType.NO_PROGRESS, CRITICAL, "rows wait and none is delivered", open_ticks=1, symptom=True),
    Kind(IncidentType.LAG_OBJECTIVE_MISSED, WARNING, "rows wait longer than they may", symptom=True),
    Kind(IncidentType.POISON_ROWS, WARNING, "rows that cannot be sent"),
    Kind(IncidentType.QUARANTINE_FULL, CRITICAL, "quarantine is full"),
    Kind(IncidentType.OPERATOR_FAILOVER, WARNING, "the operator's leader was replaced", open_ticks=1),
)
KINDS = {kind.type: kind for kind in _KINDS}
_BY_NAME = {str(kind.type): kind for kind in _KINDS}


def kind_of(name: str) -> Kind | None:
    """The kind of the type ``name``; None for one of another version."""
    return _BY_NAME.get(name)


def close_ticks(name: str, occurrences: int) -> int:
    """Good looks in a row after which it is closed: the more often it came back, the longer it must stay away."""
    kind = kind_of(name)
    least = kind.close_ticks if kind else CLOSE_TICKS
    return int(min(MOST_CLOSE_TICKS, least * 2 ** min(occurrences - 1, 10)))
