"""What the brokers say of topics: that one is there, that it can take rows now, and how large a row may be."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from outboxrelay.adapters.kafka_config import ClientConfig
from outboxrelay.adapters.kafka_errors import fault_of, unusable
from outboxrelay.api.names import Reason
from outboxrelay.errors import TopicFault

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's own default, for users who may not read the topic's configuration."""
ASK_SECONDS = 3.0
ANY_TOPIC = "__consumer_offsets"
"""Asked for where only the answer matters."""
REFRESH_SECONDS = 60.0
REFRESHED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """What the topic is configured to take."""

    max_message_bytes: int
    min_in_sync_replicas: int
    partitions: int


class _Heard:
    """The last thing that a client was told of the brokers.

    An object of its own: a client that its own callback refers to is a cycle, which nobody collects for hours where
    there is little garbage, and with it threads and sockets of every attempt.
    """

    def __init__(self) -> None:
        self.error: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Called by the client."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.error = error


class TopicProbe:
    """An admin client and the last thing that it was told of the brokers. Every method blocks for some seconds."""

    def __init__(self, config: ClientConfig) -> None:
        self._heard = _Heard()
        try:
            options: dict[str, Any] = {**config, "error_cb": self._heard.note}
            self._admin = AdminClient(options)
        except KafkaException as error:
            raise unusable(error.args[0]) from None

    def check(self, topic: str) -> TopicLimits:
        """The topic's limits; raises TopicFault where only it takes no rows now, TargetFault where no topic does."""
        self._heard.error = None
        try:
            metadata = self._admin.list_topics(topic, timeout=ASK_SECONDS).topics[topic]
        except KafkaException as error:
            self._admin.poll(0)
            raise fault_of(self._real_cause(error.args[0])) from None
        if metadata.error is not None:
            raise _topic_fault(metadata.error, topic)
        if leaderless := [number for number, part in metadata.partitions.items() if part.leader < 0]:
            message = f"topic {topic}: partition {leaderless[0]} has no leader"
            raise TopicFault(Reason.BROKER_UNAVAILABLE, message, topic)
        limits = self._limits(topic, len(metadata.partitions))
        for number, partition in metadata.partitions.items():
            if len(partition.isrs) < limits.min_in_sync_replicas:
                message = (
                    f"topic {topic}: partition {number} has {len(partition.isrs)} in-sync replicas, "
                    f"min.insync.replicas is {limits.min_in_sync_replicas}"
                )
                raise TopicFault(Reason.NOT_ENOUGH_IN_SYNC_REPLICAS, message, topic)
        return limits

    def reach(self) -> None:
        """See that brokers answer; raises TargetFault."""
        self._heard.error = None
        try:
            self._admin.list_topics(ANY_TOPIC, timeout=ASK_SECONDS)
        except KafkaException as error:
            self._admin.poll(0)
            raise fault_of(self._real_cause(error.args[0])) from None

    def ask_bytes(self, topic: str) -> Callable[[], int | None]:
        """Ask how large a record ``topic`` takes, and do not wait: what is returned does; None where it is not told."""
        asked = self._ask(topic)

        def answer() -> int | None:
            found = asked()
            return None if found is None else found[0]

        return answer

    def _limits(self, topic: str, partitions: int) -> TopicLimits:
        largest, replicas = self._ask(topic)() or (DEFAULT_MAX_MESSAGE_BYTES, 1)
        return TopicLimits(largest, replicas, partitions)

    def _ask(self, topic: str) -> Callable[[], tuple[int, int] | None]:
        """For max.message.bytes and min.insync.replicas; None where they are not told: a user may not read them."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            [future] = self._admin.describe_configs([resource], request_timeout=ASK_SECONDS).values()
        except KafkaException:
            # A client that cannot even ask any more: what it is used for next says why.
            return lambda: None

        def answer() -> tuple[int, int] | None:
            try:
                entries = future.result(ASK_SECONDS + 1)
                return int(entries["max.message.bytes"].value), int(entries["min.insync.replicas"].value)
            except (KafkaException, TimeoutError, KeyError, ValueError):
                return None

        return answer

    def _real_cause(self, error: KafkaError) -> KafkaError:
        """A timeout says nothing; what the connection last ran into does."""
        silent = error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
        return self._heard.error if silent and self._heard.error is not None else error


class TopicBook:
    """The topics in use and what they take. Methods that say so block; the others only look into the book."""

    def __init__(self, probe: TopicProbe) -> None:
        self._probe = probe
        self._limits: dict[str, TopicLimits] = {}
        self._checked_at: dict[str, float] = {}
        self._grown: dict[str, str] = {}

    def on(self, probe: TopicProbe) -> "TopicBook":
        """The same book for another client."""
        self._probe = probe
        return self

    def known(self, topic: str) -> TopicLimits | None:
        """What the topic took when it was last looked at."""
        return self._limits.get(topic)

    def learn(self, topic: str) -> TopicLimits:
        """What the topic takes, asked for where it is not known; blocks. Raises TopicFault or TargetFault."""
        return self._limits.get(topic) or self.look(topic)

    def look(self, topic: str) -> TopicLimits:
        """What the topic takes now; blocks. Raises TopicFault or TargetFault."""
        try:
            limits = self._probe.check(topic)
        except TopicFault:
            self._limits.pop(topic, None)
            raise
        before = self._limits.get(topic)
        if before is not None and limits.partitions > before.partitions:
            self._grown[topic] = (
                f"topic {topic} grew from {before.partitions} to {limits.partitions} partitions: events of a key may "
                "go to another partition than before, so consumers can meet them out of order around that time"
            )
        self._limits[topic], self._checked_at[topic] = limits, time.monotonic()
        return limits

    def ask_again(self, topics: Iterable[str]) -> Callable[[], set[str]]:
        """Ask how large records ``topics`` take now, and do not wait.

        What is returned does: it tells those that take larger ones than was known, and writes that down.
        """
        answers = {topic: self._probe.ask_bytes(topic) for topic in topics if topic in self._limits}

        def raised() -> set[str]:
            found = set()
            for topic, answer in answers.items():
                most, before = answer(), self._limits[topic]
                if most is not None and most > before.max_message_bytes:
                    self._limits[topic] = replace(before, max_message_bytes=most)
                    found.add(topic)
            return found

        return raised

    def refresh(self) -> None:
        """Look again at topics that were not looked at for long, a few at a time; blocks.

        Raises TargetFault; a topic that is gone is only forgotten, because its next row finds that out.
        """
        now = time.monotonic()
        old = sorted(self._limits, key=lambda topic: self._checked_at[topic])[:REFRESHED_AT_ONCE]
        for topic in old:
            if now - self._checked_at[topic] >= REFRESH_SECONDS:
                try:
                    self.look(topic)
                except TopicFault:
                    continue

    @property
    def smallest(self) -> int | None:
        """The smallest max.message.bytes of all."""
        return min((limits.max_message_bytes for limits in self._limits.values()), default=None)

    def notices(self) -> list[str]:
        """What somebody should know of the topics."""
        return list(self._grown.values())


def _topic_fault(error: KafkaError, topic: str) -> TopicFault:
    fault = fault_of(error)
    if fault.reason == Reason.TOPIC_NOT_FOUND:
        return TopicFault(fault.reason, f"topic {topic} not found: create it, the relay never does", topic)
    return TopicFault(fault.reason, f"topic {topic}: {fault.message}", topic)
