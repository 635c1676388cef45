"""What a topic takes, where the client cannot even ask."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from outboxrelay.adapters.kafka_topic import TopicProbe


def test_a_client_that_cannot_ask_any_more_tells_nothing_and_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = TopicProbe({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

    class Ended:
        def describe_configs(self, *_: Any, **__: Any) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL))

    monkeypatch.setattr(probe, "_admin", Ended())
    assert probe.ask_bytes("orders")() is None
