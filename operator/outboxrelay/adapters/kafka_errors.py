"""What the brokers can answer: which class an error belongs to, and the reason and words for it. Decided here only."""

import re
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException

from outboxrelay.api.names import Reason
from outboxrelay.errors import TargetFault, TopicFault


class ErrorClass(StrEnum):
    """The class decides what happens."""

    ROW = "row"
    """Only this row, or a row that travelled with it, is at fault."""
    TOPIC = "topic"
    """The topic is missing, or not ours to write."""
    BROKER = "broker"
    """The cluster does not take anything now."""
    FATAL = "fatal"
    """This producer is of no use any more."""
    BUG = "bug"
    """No answer to anything that this program asks: it is used wrongly, or cannot go on, and stops."""


INCONSISTENT_TOPIC_ID = 103
"""The topic was deleted and created again; older clients have no name for it."""

ROW_REASONS: dict[int, Reason] = {
    KafkaError.MSG_SIZE_TOO_LARGE: Reason.ROW_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: Reason.ROW_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE: Reason.ROW_TOO_LARGE,
    KafkaError.INVALID_RECORD: Reason.ROW_REJECTED,
    KafkaError.INVALID_MSG: Reason.ROW_REJECTED,
    KafkaError.INVALID_TIMESTAMP: Reason.ROW_REJECTED,
    KafkaError._INVALID_DIFFERENT_RECORD: Reason.ROW_REJECTED,
    KafkaError._UNKNOWN_PARTITION: Reason.ROW_REJECTED,
}

TOPIC_REASONS: dict[int, Reason] = {
    KafkaError._UNKNOWN_TOPIC: Reason.TOPIC_NOT_FOUND,
    KafkaError.UNKNOWN_TOPIC_OR_PART: Reason.TOPIC_NOT_FOUND,
    KafkaError.UNKNOWN_TOPIC_ID: Reason.TOPIC_NOT_FOUND,
    INCONSISTENT_TOPIC_ID: Reason.TOPIC_NOT_FOUND,
    KafkaError.TOPIC_EXCEPTION: Reason.TOPIC_NOT_FOUND,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Reason.AUTHORIZATION_FAILED,
    KafkaError.POLICY_VIOLATION: Reason.AUTHORIZATION_FAILED,
    # The topic keeps an old format, which knows no headers and no idempotence.
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: Reason.BROKER_UNAVAILABLE,
}

FATAL_REASONS: dict[int, Reason] = {
    KafkaError._AUTHENTICATION: Reason.AUTHENTICATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: Reason.AUTHENTICATION_FAILED,
    KafkaError.ILLEGAL_SASL_STATE: Reason.AUTHENTICATION_FAILED,
    KafkaError._FATAL: Reason.PRODUCER_FATAL,
    KafkaError._FENCED: Reason.PRODUCER_FATAL,
    KafkaError._GAPLESS_GUARANTEE: Reason.PRODUCER_FATAL,
    KafkaError._INCONSISTENT: Reason.PRODUCER_FATAL,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER: Reason.PRODUCER_FATAL,
    KafkaError.DUPLICATE_SEQUENCE_NUMBER: Reason.PRODUCER_FATAL,
    KafkaError.INVALID_PRODUCER_EPOCH: Reason.PRODUCER_FATAL,
    KafkaError.INVALID_PRODUCER_ID_MAPPING: Reason.PRODUCER_FATAL,
    KafkaError.PRODUCER_FENCED: Reason.PRODUCER_FATAL,
    KafkaError.UNKNOWN_PRODUCER_ID: Reason.PRODUCER_FATAL,
}

BROKER_REASONS: dict[int, Reason] = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Reason.AUTHORIZATION_FAILED,
    KafkaError.NOT_ENOUGH_REPLICAS: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError._ISR_INSUFF: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError._SSL: Reason.TLS_FAILED,
}
"""Anything else that is no bug is BrokerUnavailable, a code too that only newer brokers know."""

_BUG_NAMES: dict[str, str] = {
    "the client is used wrongly, or the process lacks what only a new one gets": """
        NO_ERROR _INVALID_ARG _STATE _CONFLICT _NOT_IMPLEMENTED _NOT_CONFIGURED _READ_ONLY _NOENT _INVALID_TYPE
        _NOOP _APPLICATION _FS _CRIT_SYS_RESOURCE _KEY_SERIALIZATION _VALUE_SERIALIZATION _KEY_DESERIALIZATION
        _VALUE_DESERIALIZATION
    """,
    "consumers, groups and shares": """
        _PARTITION_EOF _UNKNOWN_GROUP _EXISTING_SUBSCRIPTION _ASSIGN_PARTITIONS _REVOKE_PARTITIONS _UNKNOWN_PROTOCOL
        _NO_OFFSET _MAX_POLL_EXCEEDED _ASSIGNMENT_LOST _AUTO_OFFSET_RESET _LOG_TRUNCATION OFFSET_OUT_OF_RANGE
        OFFSET_METADATA_TOO_LARGE ILLEGAL_GENERATION INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID UNKNOWN_MEMBER_ID
        INVALID_SESSION_TIMEOUT REBALANCE_IN_PROGRESS INVALID_COMMIT_OFFSET_SIZE GROUP_AUTHORIZATION_FAILED
        NON_EMPTY_GROUP GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH
        OFFSET_NOT_AVAILABLE MEMBER_ID_REQUIRED GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID GROUP_SUBSCRIBED_TO_TOPIC
        UNSTABLE_OFFSET_COMMIT FENCED_MEMBER_EPOCH UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR STALE_MEMBER_EPOCH
        INVALID_RECORD_STATE SHARE_SESSION_NOT_FOUND INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH
        SHARE_SESSION_LIMIT_REACHED INVALID_REGULAR_EXPRESSION STREAMS_INVALID_TOPOLOGY
        STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED
    """,
    "transactions": """
        INVALID_TXN_STATE INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS TRANSACTION_COORDINATOR_FENCED
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED TRANSACTION_ABORTABLE
    """,
    "administration, and what brokers say to each other": """
        TOPIC_ALREADY_EXISTS INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG
        SECURITY_DISABLED OPERATION_NOT_ATTEMPTED LOG_DIR_NOT_FOUND REASSIGNMENT_IN_PROGRESS
        DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
        DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_AUTHORIZATION_FAILED DELEGATION_TOKEN_EXPIRED
        INVALID_PRINCIPAL_TYPE TOPIC_DELETION_DISABLED PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE
        ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS RESOURCE_NOT_FOUND DUPLICATE_RESOURCE
        UNACCEPTABLE_CREDENTIAL INCONSISTENT_VOTER_SET INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED STALE_CTRL_EPOCH
        STALE_BROKER_EPOCH UNKNOWN_CONTROLLER_ID INVALID_REGISTRATION INVALID_VOTER_KEY DUPLICATE_VOTER
        VOTER_NOT_FOUND
    """,
}
"""What has nothing to do with writing rows, by what it is about."""

BUGS = frozenset(
    getattr(KafkaError, name)
    for names in _BUG_NAMES.values()
    for name in names.split()
    # Older clients do not know the newest ones.
    if hasattr(KafkaError, name)
)

_CONNECT = re.compile(r"^(\S+?)(?:/bootstrap|/\d+)?: (?:Connect to \S+ failed: )?")
"""The broker by its name, its number, and the address that the name stands for."""
_TLS = re.compile(r"SSL routines:.*(?:certificate|wrong version number)")
"""OpenSSL's words for a refusal; librdkafka calls it a lost connection where it comes while data is awaited."""
_INNER_STATE = re.compile(r" \(after \d+ms in state .*\)$")
_HINTS = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "; allow the user IdempotentWrite on the cluster",
}


def class_of(error: KafkaError) -> ErrorClass:
    """The class of ``error``."""
    code = error.code()
    if error.fatal() or code in FATAL_REASONS:
        return ErrorClass.FATAL
    if code in ROW_REASONS:
        return ErrorClass.ROW
    if code in TOPIC_REASONS:
        return ErrorClass.TOPIC
    return ErrorClass.BUG if code in BUGS else ErrorClass.BROKER


def row_reason(error: KafkaError) -> Reason:
    """Why a row cannot be sent; for errors of class ROW."""
    return ROW_REASONS.get(error.code(), Reason.ROW_REJECTED)


def fault_of(error: KafkaError) -> TargetFault:
    """The fault behind ``error``, as one line without credentials; raises ``error`` itself where it is a bug."""
    return TargetFault(_reason(error), f"Kafka: {line_of(error)}")


def topic_fault_of(error: KafkaError, topic: str) -> TopicFault:
    """The fault of one topic among others."""
    return TopicFault(_reason(error), f"topic {topic}: {line_of(error)}", topic)


def unusable(error: KafkaError) -> TargetFault:
    """Why a client cannot even be made: what the Secrets hold is no use. Raises ``error`` itself where it is a bug."""
    said = line_of(error)
    _, _, cause = said.partition(": ")
    if error.code() == KafkaError._INVALID_ARG and cause.lower().startswith(("ssl", "failed to read certificate")):
        return TargetFault(Reason.TLS_FAILED, f"Kafka: {cause}")
    if error.code() == KafkaError._INVALID_ARG and "sasl" in cause.lower():
        return TargetFault(Reason.AUTHENTICATION_FAILED, f"Kafka: {cause}")
    return fault_of(error)


def ended_by(raised: BaseException) -> KafkaError:
    """Why librdkafka ended a producer, which its client raises instead of reporting; raises anything else again."""
    # A report that was due in the same moment can wrap it.
    causes = (raised, raised.__cause__, raised.__context__)
    errors = (cause.args[0] for cause in causes if isinstance(cause, KafkaException) and cause.args)
    fatal = next((error for error in errors if isinstance(error, KafkaError) and error.fatal()), None)
    if fatal is None:
        raise raised
    return fatal


def line_of(error: KafkaError) -> str:
    """What librdkafka says, in one bounded line: the broker by its name, and no inner state of the client."""
    line = _INNER_STATE.sub("", " ".join(error.str().split()))
    return _CONNECT.sub(r"\1: ", line)[:500] + _HINTS.get(error.code(), "")


def _reason(error: KafkaError) -> Reason:
    code = error.code()
    if class_of(error) is ErrorClass.BUG:
        raise KafkaException(error)
    if code == KafkaError._TRANSPORT and _TLS.search(error.str()):
        return Reason.TLS_FAILED
    unnamed = Reason.PRODUCER_FATAL if error.fatal() else Reason.BROKER_UNAVAILABLE
    return FATAL_REASONS.get(code) or TOPIC_REASONS.get(code) or BROKER_REASONS.get(code) or unnamed
