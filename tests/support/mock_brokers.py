"""Brokers that answer with the error that a test asks for: librdkafka's own mock cluster, in this process.

The client under test is the real one; only what it talks to is not. Nothing leaves the machine.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

PRODUCE = 0
METADATA = 3
INIT_PRODUCER_ID = 22
SASL_HANDSHAKE = 17
"""Kafka's numbers of requests."""

_PRODUCER = 0


class MockBrokers:
    """One broker; topics that are created have one partition."""

    def __init__(self) -> None:
        self._library = _library()
        text = ctypes.create_string_buffer(512)
        self._handle = self._library.rd_kafka_new(_PRODUCER, None, text, len(text))
        if not self._handle:
            raise RuntimeError(text.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def create(self, topic: str, partitions: int = 1) -> None:
        """A topic that is there."""
        self._checked(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1))

    def delete(self, topic: str) -> None:
        """A topic that is not there any more."""
        self._checked(self._library.rd_kafka_mock_topic_delete(self._cluster, topic.encode()))

    def answer_metadata_of(self, topic: str, code: int) -> None:
        """What metadata says of ``topic`` from now on."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def answer(self, request: int, *codes: int) -> None:
        """Answers to the next requests of that kind, each once; 0 is none."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(codes), array)

    def answer_produce(self, topic: str, *codes: int, partition: int = 0) -> None:
        """Answers to the next batches for one partition, each once."""
        self._library.rd_kafka_mock_partition_push_request_errors(
            ctypes.c_void_p(self._cluster),
            topic.encode(),
            ctypes.c_int32(partition),
            ctypes.c_int16(PRODUCE),
            ctypes.c_size_t(len(codes)),
            *map(ctypes.c_int, codes),
        )

    def clear(self, request: int) -> None:
        """Answer without errors again."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, request)

    def set_up(self, *, up: bool) -> None:
        """Let the broker be reached, or not."""
        call = self._library.rd_kafka_mock_broker_set_up if up else self._library.rd_kafka_mock_broker_set_down
        self._checked(call(self._cluster, 1))

    def set_round_trip(self, milliseconds: int) -> None:
        """Let every answer take so long."""
        self._checked(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds))

    def _checked(self, code: int) -> None:
        if code:
            raise RuntimeError(confluent_kafka.KafkaError(code).str())


@contextmanager
def mock_brokers(*topics: str) -> Iterator[MockBrokers]:
    """Brokers with ``topics``."""
    with MockBrokers() as brokers:
        for topic in topics:
            brokers.create(topic)
        yield brokers


def _library() -> ctypes.CDLL:
    """The librdkafka of the installed client, already loaded."""
    place = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(place.glob("librdkafka-*.so*"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_new": (pointer, [number, pointer, ctypes.c_char_p, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_topic_delete": (number, [pointer, text]),
        "rd_kafka_mock_topic_set_error": (None, [pointer, text, number]),
        "rd_kafka_mock_clear_request_errors": (None, [pointer, ctypes.c_int16]),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)],
        ),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
    }
    for name, (returned, taken) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returned, taken
    varied = library.rd_kafka_mock_partition_push_request_errors
    varied.restype = None
    return library
