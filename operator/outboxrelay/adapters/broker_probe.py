"""The controller's own look at Kafka: one shared client per cluster and credentials, each with a thread of its own.

librdkafka's requests block; a cluster that does not answer holds up only its own thread, and its failure is shared for
a moment by all relays that use it.
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.kafka_config import ClientConfig, client_config
from outboxrelay.adapters.kafka_errors import fault_of, unusable
from outboxrelay.adapters.turns import turn
from outboxrelay.api.names import Reason
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.decisions.attention import TURNS, Attention
from outboxrelay.errors import NotAsked, TargetFault

SHARED_FAILURE_SECONDS = 2.0
IDLE_SECONDS = 60.0
PROBE_OPTIONS: ClientConfig = {
    "client.id": "outboxrelay-controller",
    # A broker that is back must be seen at the next look.
    "reconnect.backoff.max.ms": 1000,
    # The client is asked every few seconds: it need not refresh anything by itself.
    "topic.metadata.refresh.interval.ms": -1,
}
SILENT = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN})
"""Codes that say only that nothing came back."""

ANY_TOPIC = "__consumer_offsets"
"""Asked for where rows name their topics: any answer will do, and one topic's is the smallest."""

Place = tuple[tuple[str, object], ...]


class _Cluster:
    """One client and its thread."""

    def __init__(self, config: ClientConfig, attention: Attention) -> None:
        self._attention = attention
        self.asked_at = 0.0
        self._noted: KafkaError | None = None
        self._failure: TargetFault | None = None
        self._failed_at = 0.0
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-probe")
        options: dict[str, Any] = {**config, **PROBE_OPTIONS, "error_cb": self._note}
        try:
            self._admin = AdminClient(options)
        except KafkaException as error:
            raise unusable(error.args[0]) from None

    async def check(self, topic: str | None, seconds: float) -> None:
        """See that ``topic`` is there, or without one that brokers answer; raises TargetFault or NotAsked."""
        loop = asyncio.get_running_loop()
        async with turn(self._lock, TURNS * seconds):
            away = self._attention.since()
            try:
                async with asyncio.timeout(seconds + 0.3):
                    return await loop.run_in_executor(self._thread, self._check, topic, seconds)
            except TimeoutError:
                fault = TargetFault(Reason.BROKER_UNAVAILABLE, f"no answer within {seconds:.0f} s")
            except TargetFault as found:
                fault = found
            if fault.reason == Reason.BROKER_UNAVAILABLE and away():
                self._failure = None
                raise NotAsked("the operator came late to its own work") from None
            raise fault

    def close(self) -> None:
        """Let the thread end when its request does."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _check(self, topic: str | None, seconds: float) -> None:
        if self._failure is not None and time.monotonic() - self._failed_at < SHARED_FAILURE_SECONDS:
            raise self._failure
        self._failure = self._noted = None
        try:
            asked = topic or ANY_TOPIC
            found = self._admin.list_topics(asked, timeout=seconds).topics[asked]
        except KafkaException as error:
            self._admin.poll(0)
            self._failure, self._failed_at = self._fault(error.args[0], seconds), time.monotonic()
            raise self._failure from None
        if topic is None:
            return
        if found.error is not None:
            raise _topic_fault(topic, found.error)
        leaderless = sorted(number for number, part in found.partitions.items() if part.leader < 0)
        if leaderless:
            message = f"topic {topic}: partition {leaderless[0]} has no leader"
            raise TargetFault(Reason.BROKER_UNAVAILABLE, message)

    def _fault(self, error: KafkaError, seconds: float) -> TargetFault:
        """A timeout says nothing; what the connection last ran into does."""
        if error.code() not in SILENT:
            return fault_of(error)
        if self._noted is not None:
            return fault_of(self._noted)
        return TargetFault(Reason.BROKER_UNAVAILABLE, f"no broker answered within {seconds:.0f} s")

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._noted = error


class BrokerProbe:
    """Asks clusters for topics; never creates one (librdkafka's default for metadata requests)."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._clusters: dict[Place, _Cluster] = {}

    async def check(self, spec: OutboxRelaySpec, secrets: Mapping[tuple[str, str], str], seconds: float) -> None:
        """See that the topic is there; raises TargetFault that names the brokers and what to do, or NotAsked where
        nothing came while the operator was late itself."""
        target = spec.target
        config = client_config(target, MappingCredentials(secrets))
        now = time.monotonic()
        self._close_idle(now)
        # Critical relays have a client of their own: they never wait behind the others of their cluster.
        place = (*sorted(config.items()), ("critical", spec.is_critical))
        if place not in self._clusters:
            self._clusters[place] = _Cluster(config, self._attention)
        cluster = self._clusters[place]
        cluster.asked_at = now
        try:
            await cluster.check(target.topic, seconds)
        except TargetFault as fault:
            raise _explained(fault, spec) from None

    async def close(self) -> None:
        """Let every client go."""
        for cluster in self._clusters.values():
            cluster.close()
        self._clusters.clear()

    def _close_idle(self, now: float) -> None:
        idle = [place for place, cluster in self._clusters.items() if now - cluster.asked_at > IDLE_SECONDS]
        for place in idle:
            self._clusters.pop(place).close()


def _topic_fault(topic: str, error: KafkaError) -> TargetFault:
    fault = fault_of(error)
    if fault.reason == Reason.TOPIC_NOT_FOUND:
        return TargetFault(fault.reason, f"topic {topic} not found; create it, the relay never does")
    return TargetFault(fault.reason, f"topic {topic}: {fault.message}")


def _explained(fault: TargetFault, spec: OutboxRelaySpec) -> TargetFault:
    target = spec.target
    said = fault.message.removeprefix("Kafka: ").removeprefix(f"{target.bootstrap_servers[0]}: ")
    return TargetFault(fault.reason, f"{target.place}: {said}{_hint(fault, spec)}")


def _hint(fault: TargetFault, spec: OutboxRelaySpec) -> str:
    login = spec.target.credentials_secret_ref
    if fault.reason == Reason.AUTHENTICATION_FAILED and login:
        return f"; check Secret {login.name}"
    if fault.reason == Reason.BROKER_UNAVAILABLE:
        return "; check that the brokers run, and spec.target.bootstrapServers"
    return ""
