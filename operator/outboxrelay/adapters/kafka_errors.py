"""What the brokers can answer: which class an error belongs to, and the reason and words for it. Decided here only."""

import re
from enum import StrEnum

from confluent_kafka import KafkaError

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


ROW_REASONS: dict[int, Reason] = {
    KafkaError.MSG_SIZE_TOO_LARGE: Reason.ROW_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: Reason.ROW_TOO_LARGE,
    KafkaError.INVALID_MSG_SIZE: Reason.ROW_TOO_LARGE,
    KafkaError.INVALID_RECORD: Reason.ROW_REJECTED,
    KafkaError.INVALID_MSG: Reason.ROW_REJECTED,
    KafkaError.INVALID_TIMESTAMP: Reason.ROW_REJECTED,
    KafkaError._INVALID_DIFFERENT_RECORD: Reason.ROW_REJECTED,
    KafkaError._BAD_MSG: Reason.ROW_REJECTED,
    KafkaError._UNKNOWN_PARTITION: Reason.ROW_REJECTED,
}

FAULT_REASONS: dict[int, Reason] = {
    KafkaError._AUTHENTICATION: Reason.AUTHENTICATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: Reason.AUTHENTICATION_FAILED,
    KafkaError.ILLEGAL_SASL_STATE: Reason.AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Reason.AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Reason.AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Reason.AUTHORIZATION_FAILED,
    KafkaError._UNKNOWN_TOPIC: Reason.TOPIC_NOT_FOUND,
    KafkaError.UNKNOWN_TOPIC_OR_PART: Reason.TOPIC_NOT_FOUND,
    KafkaError.UNKNOWN_TOPIC_ID: Reason.TOPIC_NOT_FOUND,
    KafkaError.TOPIC_EXCEPTION: Reason.TOPIC_NOT_FOUND,
    KafkaError.POLICY_VIOLATION: Reason.AUTHORIZATION_FAILED,
    KafkaError.NOT_ENOUGH_REPLICAS: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError._ISR_INSUFF: Reason.NOT_ENOUGH_IN_SYNC_REPLICAS,
    KafkaError._SSL: Reason.TLS_FAILED,
    KafkaError._FATAL: Reason.PRODUCER_FATAL,
    KafkaError._FENCED: Reason.PRODUCER_FATAL,
    KafkaError._GAPLESS_GUARANTEE: Reason.PRODUCER_FATAL,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER: Reason.PRODUCER_FATAL,
    KafkaError.INVALID_PRODUCER_EPOCH: Reason.PRODUCER_FATAL,
    KafkaError.PRODUCER_FENCED: Reason.PRODUCER_FATAL,
    KafkaError.UNKNOWN_PRODUCER_ID: Reason.PRODUCER_FATAL,
}
"""Anything else is BrokerUnavailable."""

_CONNECT = re.compile(r"^(\S+?)(?:/bootstrap|/\d+)?: (?:Connect to \S+ failed: )?")
"""The broker by its name, its number, and the address that the name stands for."""
_INNER_STATE = re.compile(r" \(after \d+ms in state .*\)$")

TOPIC_CODES = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
    }
)


def class_of(error: KafkaError) -> ErrorClass:
    """The class of ``error``."""
    code = error.code()
    if error.fatal() or FAULT_REASONS.get(code) is Reason.PRODUCER_FATAL:
        return ErrorClass.FATAL
    if code in ROW_REASONS:
        return ErrorClass.ROW
    return ErrorClass.TOPIC if code in TOPIC_CODES else ErrorClass.BROKER


def row_reason(error: KafkaError) -> Reason:
    """Why a row cannot be sent; for errors of class ROW."""
    return ROW_REASONS.get(error.code(), Reason.ROW_REJECTED)


def fault_of(error: KafkaError) -> TargetFault:
    """The fault behind ``error``, as one line without credentials."""
    reason = Reason.PRODUCER_FATAL if error.fatal() else FAULT_REASONS.get(error.code(), Reason.BROKER_UNAVAILABLE)
    return TargetFault(reason, f"Kafka: {line_of(error)}")


def topic_fault_of(error: KafkaError, topic: str) -> TopicFault:
    """The fault of one topic among others."""
    fault = fault_of(error)
    return TopicFault(fault.reason, f"topic {topic}: {line_of(error)}", topic)


def line_of(error: KafkaError) -> str:
    """What librdkafka says, in one bounded line: the broker by its name, and no inner state of the client."""
    line = _INNER_STATE.sub("", " ".join(error.str().split()))
    return _CONNECT.sub(r"\1: ", line)[:500]
