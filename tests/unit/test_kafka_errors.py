"""What users read of an error of librdkafka."""

import pytest
from confluent_kafka import KafkaError

from outboxrelay.adapters.kafka_errors import fault_of


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "kafka:9092/bootstrap: Connect to ipv4#10.0.0.3:9092 failed: refused (after 0ms in state INIT, 2 error(s))",
            "Kafka: Connect to 10.0.0.3:9092 failed: refused",
        ),
        (
            "kafka:9092/1: Disconnected (after 2034ms in state UP)",
            "Kafka: Disconnected",
        ),
        ("Broker: Unknown topic or partition", "Kafka: Broker: Unknown topic or partition"),
    ],
)
def test_an_error_is_shown_without_the_inner_states_of_the_client(said: str, shown: str) -> None:
    assert fault_of(KafkaError(KafkaError._TRANSPORT, said)).message == shown
