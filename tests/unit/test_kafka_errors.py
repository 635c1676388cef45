"""What users read of an error of librdkafka."""

import pytest
from confluent_kafka import KafkaError

from outboxrelay.adapters.kafka_errors import fault_of


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
