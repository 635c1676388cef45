"""Every error code of the installed client: its class, its reason, and what users read of it."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from outboxrelay.adapters.kafka_errors import (
    ErrorClass,
    class_of,
    ended_by,
    fault_of,
    row_reason,
    topic_fault_of,
    unusable,
)
from outboxrelay.api.names import Reason

TABLE = {
    (ErrorClass.ROW, Reason.ROW_TOO_LARGE): "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_MSG_SIZE",
    (ErrorClass.ROW, Reason.ROW_REJECTED): """
        INVALID_RECORD INVALID_MSG INVALID_TIMESTAMP _INVALID_DIFFERENT_RECORD _UNKNOWN_PARTITION
    """,
    (ErrorClass.TOPIC, Reason.TOPIC_NOT_FOUND): """
        _UNKNOWN_TOPIC UNKNOWN_TOPIC_OR_PART UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID TOPIC_EXCEPTION
    """,
    (ErrorClass.TOPIC, Reason.AUTHORIZATION_FAILED): "TOPIC_AUTHORIZATION_FAILED POLICY_VIOLATION",
    (ErrorClass.TOPIC, Reason.BROKER_UNAVAILABLE): "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    (ErrorClass.FATAL, Reason.AUTHENTICATION_FAILED): """
        _AUTHENTICATION SASL_AUTHENTICATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE
    """,
    (ErrorClass.FATAL, Reason.PRODUCER_FATAL): """
        _FATAL _FENCED _GAPLESS_GUARANTEE _INCONSISTENT OUT_OF_ORDER_SEQUENCE_NUMBER DUPLICATE_SEQUENCE_NUMBER
        INVALID_PRODUCER_EPOCH INVALID_PRODUCER_ID_MAPPING PRODUCER_FENCED UNKNOWN_PRODUCER_ID
    """,
    (ErrorClass.BROKER, Reason.AUTHORIZATION_FAILED): "CLUSTER_AUTHORIZATION_FAILED",
    (ErrorClass.BROKER, Reason.NOT_ENOUGH_IN_SYNC_REPLICAS): """
        NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND _ISR_INSUFF
    """,
    (ErrorClass.BROKER, Reason.TLS_FAILED): "_SSL",
    # Unreachable, or an answer that cannot be read; a client that waits, or gave rows up because it was told to.
    (ErrorClass.BROKER, Reason.BROKER_UNAVAILABLE): """
        _TRANSPORT _FAIL _RESOLVE _ALL_BROKERS_DOWN _TIMED_OUT _TIMED_OUT_QUEUE _MSG_TIMED_OUT _DESTROY _DESTROY_BROKER
        _BAD_MSG _BAD_COMPRESSION _UNDERFLOW _PARTIAL _UNSUPPORTED_FEATURE _UNKNOWN_BROKER _NODE_UPDATE _OUTDATED
        _WAIT_COORD _WAIT_CACHE _IN_PROGRESS _PREV_IN_PROGRESS _INTR _RETRY _QUEUE_FULL _PURGE_QUEUE _PURGE_INFLIGHT
        UNKNOWN LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH
        REPLICA_NOT_AVAILABLE LISTENER_NOT_FOUND BROKER_NOT_AVAILABLE REQUEST_TIMED_OUT NETWORK_EXCEPTION
        COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR NOT_CONTROLLER KAFKA_STORAGE_ERROR
        THROTTLING_QUOTA_EXCEEDED INVALID_REQUIRED_ACKS UNSUPPORTED_COMPRESSION_TYPE UNSUPPORTED_VERSION INVALID_REQUEST
        MISMATCHED_ENDPOINT_TYPE UNSUPPORTED_ENDPOINT_TYPE REBOOTSTRAP_REQUIRED PRINCIPAL_DESERIALIZATION_FAILURE
        UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE
    """,
}
"""Answers to what the relay asks: produce, metadata, a producer id, a topic's configuration, a login."""

UNASKED = """
    NO_ERROR _INVALID_ARG _STATE _CONFLICT _NOT_IMPLEMENTED _NOT_CONFIGURED _READ_ONLY _NOENT _INVALID_TYPE _NOOP
    _APPLICATION _FS _CRIT_SYS_RESOURCE _KEY_SERIALIZATION _VALUE_SERIALIZATION _KEY_DESERIALIZATION
    _VALUE_DESERIALIZATION
    _PARTITION_EOF _UNKNOWN_GROUP _EXISTING_SUBSCRIPTION _ASSIGN_PARTITIONS _REVOKE_PARTITIONS _UNKNOWN_PROTOCOL
    _NO_OFFSET _MAX_POLL_EXCEEDED _ASSIGNMENT_LOST _AUTO_OFFSET_RESET _LOG_TRUNCATION
    OFFSET_OUT_OF_RANGE OFFSET_METADATA_TOO_LARGE ILLEGAL_GENERATION INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID
    UNKNOWN_MEMBER_ID INVALID_SESSION_TIMEOUT REBALANCE_IN_PROGRESS INVALID_COMMIT_OFFSET_SIZE
    GROUP_AUTHORIZATION_FAILED NON_EMPTY_GROUP GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND
    INVALID_FETCH_SESSION_EPOCH OFFSET_NOT_AVAILABLE MEMBER_ID_REQUIRED GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID
    GROUP_SUBSCRIBED_TO_TOPIC UNSTABLE_OFFSET_COMMIT FENCED_MEMBER_EPOCH UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR
    STALE_MEMBER_EPOCH INVALID_RECORD_STATE SHARE_SESSION_NOT_FOUND INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH
    SHARE_SESSION_LIMIT_REACHED INVALID_REGULAR_EXPRESSION STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH
    STREAMS_TOPOLOGY_FENCED
    INVALID_TXN_STATE INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS TRANSACTION_COORDINATOR_FENCED
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED TRANSACTION_ABORTABLE
    TOPIC_ALREADY_EXISTS INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG
    SECURITY_DISABLED OPERATION_NOT_ATTEMPTED LOG_DIR_NOT_FOUND REASSIGNMENT_IN_PROGRESS
    DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_AUTHORIZATION_FAILED DELEGATION_TOKEN_EXPIRED
    INVALID_PRINCIPAL_TYPE TOPIC_DELETION_DISABLED PREFERRED_LEADER_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE
    ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS RESOURCE_NOT_FOUND DUPLICATE_RESOURCE UNACCEPTABLE_CREDENTIAL
    INCONSISTENT_VOTER_SET INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED STALE_CTRL_EPOCH STALE_BROKER_EPOCH
    UNKNOWN_CONTROLLER_ID INVALID_REGISTRATION INVALID_VOTER_KEY DUPLICATE_VOTER VOTER_NOT_FOUND
"""
"""Misuse of the client, and answers to what consumers, transactions, administrators and brokers ask."""
BUGS = UNASKED.split()

CASES = [(name, kind, reason) for (kind, reason), names in TABLE.items() for name in names.split()]
INSTALLED = {name for name in dir(KafkaError) if isinstance(getattr(KafkaError, name), int) and name[:2] != "__"}


def error(name: str) -> KafkaError:
    return KafkaError(getattr(KafkaError, name))


def test_somebody_decided_on_every_code_of_the_installed_client() -> None:
    named = [*(name for name, _, _ in CASES), *BUGS]
    assert len(named) == len(set(named))
    assert set(named) == INSTALLED


@pytest.mark.parametrize(("name", "kind", "reason"), CASES, ids=[case[0] for case in CASES])
def test_a_code_has_its_class_and_its_reason(name: str, kind: ErrorClass, reason: Reason) -> None:
    assert class_of(error(name)) is kind
    if kind is ErrorClass.ROW:
        assert row_reason(error(name)) is reason
        return
    fault = fault_of(error(name))
    assert (fault.reason, fault.message.startswith("Kafka: ")) == (reason, True)
    if kind is ErrorClass.TOPIC:
        blocked = topic_fault_of(error(name), "orders")
        assert (blocked.reason, blocked.topic) == (reason, "orders")
        assert blocked.message.startswith("topic orders: ")


@pytest.mark.parametrize("name", BUGS)
def test_what_the_relay_never_asks_for_is_a_bug_and_is_raised_as_it_came(name: str) -> None:
    assert class_of(error(name)) is ErrorClass.BUG
    for told in (fault_of, unusable):
        with pytest.raises(KafkaException) as caught:
            told(error(name))
        assert caught.value.args[0].name() == name


def test_a_code_that_only_newer_brokers_know_is_retried_and_not_a_bug() -> None:
    unknown = KafkaError(max(getattr(KafkaError, name) for name in INSTALLED) + 1000)
    assert class_of(unknown) is ErrorClass.BROKER
    assert fault_of(unknown).reason is Reason.BROKER_UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("UNSUPPORTED_VERSION", Reason.PRODUCER_FATAL),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Reason.PRODUCER_FATAL),
        ("CLUSTER_AUTHORIZATION_FAILED", Reason.AUTHORIZATION_FAILED),
        ("_AUTHENTICATION", Reason.AUTHENTICATION_FAILED),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", Reason.PRODUCER_FATAL),
    ],
)
def test_whatever_ends_the_producer_is_fatal_and_keeps_the_real_reason(name: str, reason: Reason) -> None:
    ended = KafkaError(getattr(KafkaError, name), "the producer ended", True)
    assert class_of(ended) is ErrorClass.FATAL
    assert fault_of(ended).reason is reason


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_end_of_a_producer_is_found_in_what_the_client_raises(wrapped: bool) -> None:
    raised: BaseException = KafkaException(KafkaError(KafkaError._FENCED, "fenced", True))
    if wrapped:
        try:
            raise SystemError("a callback returned a result with an exception set") from raised
        except SystemError as error:
            raised = error
    assert ended_by(raised).code() == KafkaError._FENCED


@pytest.mark.parametrize("raised", [SystemError("something else"), KafkaException(KafkaError(KafkaError._STATE))])
def test_what_the_client_raises_for_another_cause_is_raised_again(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught:
        ended_by(raised)
    assert caught.value is raised


@pytest.mark.parametrize(
    ("said", "reason", "shown"),
    [
        (
            "Failed to create producer: ssl.key.pem failed: not in PEM format?: error:0688010A",
            Reason.TLS_FAILED,
            "Kafka: ssl.key.pem failed: not in PEM format?: error:0688010A",
        ),
        (
            "Failed to create admin client: failed to read certificate #0 from ssl.ca.pem: not in PEM format?",
            Reason.TLS_FAILED,
            "Kafka: failed to read certificate #0 from ssl.ca.pem: not in PEM format?",
        ),
        (
            "Failed to create producer: sasl.username and sasl.password must be set",
            Reason.AUTHENTICATION_FAILED,
            "Kafka: sasl.username and sasl.password must be set",
        ),
    ],
)
def test_a_client_that_cannot_be_made_of_what_a_secret_holds_says_so(said: str, reason: Reason, shown: str) -> None:
    fault = unusable(KafkaError(KafkaError._INVALID_ARG, said))
    assert (fault.reason, fault.message) == (reason, shown)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "kafka:9092/bootstrap: Connect to ipv4#10.0.0.3:9092 failed: refused (after 0ms in state INIT, 2 error(s))",
            "Kafka: kafka:9092: refused",
        ),
        (
            "kafka:9092/1: Disconnected (after 2034ms in state UP)",
            "Kafka: kafka:9092: Disconnected",
        ),
        (
            "sasl_ssl://kafka:9094/bootstrap: SASL authentication failed (after 12ms in state AUTH_REQ)",
            "Kafka: sasl_ssl://kafka:9094: SASL authentication failed",
        ),
        ("Broker: Unknown topic or partition", "Kafka: Broker: Unknown topic or partition"),
    ],
)
def test_an_error_names_the_broker_and_not_the_inner_states_of_the_client(said: str, shown: str) -> None:
    assert fault_of(KafkaError(KafkaError._TRANSPORT, said)).message == shown


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ssl://kafka:9093/1: error:0A000086:SSL routines::certificate verify failed", Reason.TLS_FAILED),
        ("ssl://kafka:9093/1: error:0A00010B:SSL routines::wrong version number", Reason.TLS_FAILED),
        ("ssl://kafka:9093/1: error:0A000126:SSL routines::unexpected eof while reading", Reason.BROKER_UNAVAILABLE),
        ("ssl://kafka:9093/1: Disconnected (after 5ms in state UP)", Reason.BROKER_UNAVAILABLE),
    ],
)
def test_a_refused_certificate_is_told_from_a_connection_that_was_lost(said: str, reason: Reason) -> None:
    assert fault_of(KafkaError(KafkaError._TRANSPORT, said)).reason is reason
