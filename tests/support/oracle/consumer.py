"""The consumer: reads every partition of a topic from a recorded start, in a thread, and logs what arrives."""

import threading
import time
import uuid
from collections.abc import Callable, Collection
from typing import Any, Self

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from .events import Arrived, number_in

PASSING = (
    *(KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE),
    *(KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION),
)
"""Errors of a broker that is away, or has not yet heard of a new topic; the client itself goes on trying."""

SETTLING_SECONDS = 20.0
"""How long a broker may take to know a topic that its controller has made."""

STUCK_SECONDS = 5.0
"""A client that gets nothing for so long, though there is more to read, is replaced."""


class Consumer:
    """``with Consumer(servers, topic) as consumer:``. The topic must exist.

    ``from_now`` skips what the topic holds already. ``options`` are further librdkafka settings (security).
    """

    def __init__(
        self, servers: str, topic: str, *, from_now: bool = False, options: dict[str, Any] | None = None
    ) -> None:
        self.topic = topic
        self.arrived: list[Arrived] = []
        self.ids: set[str] = set()
        self._from_now = from_now
        self._settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "group.id": f"oracle-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            "auto.offset.reset": "error",
            **(options or {}),
        }
        self._position: dict[int, int] = {}
        self._asking = threading.Lock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"oracle consumer {topic}", daemon=True)

    def __enter__(self) -> Self:
        # One client reads, another asks for offsets: asked beside a poll in another thread, librdkafka never answers.
        self._client, self._asker = Client(self._settings), Client(self._settings)
        self._start = self._starts()
        self._position = dict(self._start)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._asker.close()

    def wait_until(self, condition: Callable[[], bool], deadline: float, every: float = 0.1) -> bool:
        """Whether ``condition`` came true within ``deadline`` seconds; raises when the consumer died."""
        end = time.monotonic() + deadline
        while not condition():
            self._check()
            if time.monotonic() > end:
                return False
            time.sleep(every)
        return True

    def wait_for(self, ids: Collection[str], deadline: float) -> bool:
        """Whether all the events ``ids`` arrived within ``deadline`` seconds."""
        wanted = frozenset(ids)
        return self.wait_until(lambda: wanted <= self.ids, deadline, every=0.1 if len(wanted) < 50_000 else 0.5)

    def wait_for_end(self, *, quiet: float = 1.0, deadline: float = 60) -> bool:
        """Read to the topic's end, and on until nothing has come for ``quiet`` seconds."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            count = len(self.arrived)
            if not self._reach(self._ends(), end - time.monotonic()):
                return False
            self.wait_until(lambda: len(self.arrived) != count, quiet)  # noqa: B023 - used in this round
            if len(self.arrived) == count:
                return True
        return False

    def _reach(self, ends: dict[int, int], deadline: float) -> bool:
        return self.wait_until(
            lambda: all(self._position[partition] >= offset for partition, offset in ends.items()), deadline
        )

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError(f"the oracle's consumer of {self.topic} died: {self._failure!r}") from self._failure

    def _starts(self) -> dict[int, int]:
        return {n: high if self._from_now else low for n, (low, high) in self._watermarks(self._partitions()).items()}

    def _ends(self) -> dict[int, int]:
        return {n: high for n, (_, high) in self._watermarks(list(self._start)).items()}

    def _partitions(self) -> list[int]:
        end = time.monotonic() + SETTLING_SECONDS
        while True:
            found = self._asker.list_topics(self.topic, timeout=10).topics[self.topic]
            if found.error is None:
                return sorted(found.partitions)
            if found.error.code() not in PASSING or time.monotonic() > end:
                raise KafkaException(found.error)
            time.sleep(0.2)

    def _watermarks(self, partitions: list[int]) -> dict[int, tuple[int, int]]:
        return {n: self._watermark(n) for n in partitions}

    def _watermark(self, partition: int) -> tuple[int, int]:
        """The first and the next offset; asked again while a new topic, or a broker that is back, settles."""
        end = time.monotonic() + SETTLING_SECONDS
        while True:
            try:
                with self._asking:
                    return self._asker.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=5)
            except KafkaException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._read_while_it_flows()
                self._client.close()
                if not self._stop.is_set():
                    self._client = Client(self._settings)
        except BaseException as error:
            self._failure = error
            self._client.close()

    def _read_while_it_flows(self) -> None:
        """Read on from the position; ends where the client is stuck.

        After a broker's restart librdkafka may wait for ever to validate an offset that it has never read at.
        """
        self._client.assign([TopicPartition(self.topic, n, offset) for n, offset in self._position.items()])
        heard = time.monotonic()
        while not self._stop.is_set():
            message = self._client.poll(0.1)
            if message is not None:
                self._take(message)
                heard = time.monotonic()
            elif time.monotonic() - heard > STUCK_SECONDS:
                if self._is_behind():
                    return
                heard = time.monotonic()

    def _is_behind(self) -> bool:
        """Whether the topic holds more than was read; False where nobody can be asked."""
        try:
            return any(self._position[n] < offset for n, offset in self._ends().items())
        except KafkaException:
            return False

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() not in PASSING:
                raise KafkaException(error)
            return
        record = arrived(message, time.time())
        self.arrived.append(record)
        self.ids.add(record.event_id)
        self._position[record.partition] = record.offset + 1


def arrived(message: Message, now: float) -> Arrived:
    """What one Kafka record says of itself."""
    headers: dict[str, Any] = dict(message.headers() or ())
    raw_key, sequence = message.key(), headers.get("sequence")
    key = None if raw_key is None else bytes(raw_key).decode()
    return Arrived(
        key=key,
        number=number_in(message.value(), key),
        event_id=(headers.get("id") or b"no id").decode(),
        row_id=None if sequence is None else int(sequence),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        arrived_at=now,
    )
