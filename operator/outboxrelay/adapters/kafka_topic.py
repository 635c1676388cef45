"""What the brokers say of the topic: that it is there, that it can take rows now, and how large a row may be."""

from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from outboxrelay.adapters.kafka_config import ClientConfig
from outboxrelay.adapters.kafka_errors import fault_of
from outboxrelay.api.names import Reason
from outboxrelay.errors import TargetFault

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's own default, for users who may not read the topic's configuration."""
ASK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What the topic is configured to take."""

    max_message_bytes: int
    min_in_sync_replicas: int


class TopicProbe:
    """An admin client and the last thing that it was told of the brokers. Every method blocks for some seconds."""

    def __init__(self, config: ClientConfig, topic: str) -> None:
        self._topic = topic
        self._last_error: KafkaError | None = None
        try:
            options: dict[str, Any] = {**config, "error_cb": self._note}
            self._admin = AdminClient(options)
        except KafkaException as error:
            raise fault_of(error.args[0]) from None

    def check(self) -> TopicLimits:
        """The topic's limits; raises TargetFault where it cannot take rows now."""
        self._last_error = None
        try:
            metadata = self._admin.list_topics(self._topic, timeout=ASK_SECONDS).topics[self._topic]
        except KafkaException as error:
            self._admin.poll(0)
            raise fault_of(self._real_cause(error.args[0])) from None
        if metadata.error is not None:
            raise self._topic_fault(metadata.error)
        if leaderless := [number for number, part in metadata.partitions.items() if part.leader < 0]:
            message = f"topic {self._topic}: partition {leaderless[0]} has no leader"
            raise TargetFault(Reason.BROKER_UNAVAILABLE, message)
        limits = self._limits()
        for number, partition in metadata.partitions.items():
            if len(partition.isrs) < limits.min_in_sync_replicas:
                message = (
                    f"topic {self._topic}: partition {number} has {len(partition.isrs)} in-sync replicas, "
                    f"min.insync.replicas is {limits.min_in_sync_replicas}"
                )
                raise TargetFault(Reason.NOT_ENOUGH_IN_SYNC_REPLICAS, message)
        return limits

    def _limits(self) -> TopicLimits:
        resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
        try:
            [future] = self._admin.describe_configs([resource], request_timeout=ASK_SECONDS).values()
            entries = future.result(ASK_SECONDS + 1)
            return TopicLimits(
                max_message_bytes=int(entries["max.message.bytes"].value),
                min_in_sync_replicas=int(entries["min.insync.replicas"].value),
            )
        except (KafkaException, TimeoutError, KeyError, ValueError):
            return TopicLimits(DEFAULT_MAX_MESSAGE_BYTES, 1)

    def _topic_fault(self, error: KafkaError) -> TargetFault:
        fault = fault_of(error)
        if fault.reason == Reason.TOPIC_NOT_FOUND:
            return TargetFault(fault.reason, f"topic {self._topic} not found: create it, the relay never does")
        return TargetFault(fault.reason, f"topic {self._topic}: {fault.message}")

    def _real_cause(self, error: KafkaError) -> KafkaError:
        """A timeout says nothing; what the connection last ran into does."""
        silent = error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
        return self._last_error if silent and self._last_error is not None else error

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last_error = error
