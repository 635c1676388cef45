"""A client of Kafka that is not used any more must go at once, with its threads and its connections."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Producer

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.kafka_config import client_config, producer_config
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_topic import TopicBook, TopicProbe
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken
from outboxrelay.errors import TargetFault
from tests.support.fake_source import row
from tests.support.relay_process import manifest


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def threads_of_clients() -> int:
    found = 0
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += Path(f"/proc/self/task/{task}/comm").read_text().startswith("rdk:")
    return found


def test_a_delivery_that_has_ended_keeps_no_producer_until_the_garbage_is_collected(without_collector: None) -> None:
    # Nobody listens there: every row stays in the producer until it is given up.
    spec = parse_manifest(manifest(table="outbox", topic="t", servers="127.0.0.1:1")).spec
    common = client_config(spec.target, MappingCredentials({}))
    no_probe = cast(TopicProbe, None)
    before = threads_of_clients()
    delivery = Delivery(
        Producer(producer_config(common, spec.target, None)),
        Mapper(spec),
        TopicBook(no_probe),
        routed=False,
        strict=False,
        batch_bytes=1000,
        deadline=10,
        diagnose=lambda: TargetFault(Reason.BROKER_UNAVAILABLE, "gone"),
        give_up=lambda: True,
    )
    delivery.begin()
    assert delivery.hand_over([row(1), row(2)]) == 2
    assert isinstance(delivery.send([row(1), row(2)], 2), Broken)
    assert threads_of_clients() > before
    delivery.end()
    del delivery
    assert ends(before)


def test_a_client_that_asks_for_topics_ends_with_it(without_collector: None) -> None:
    spec = parse_manifest(manifest(table="outbox", topic="t", servers="127.0.0.1:1")).spec
    before = threads_of_clients()
    probe = TopicProbe(client_config(spec.target, MappingCredentials({})))
    with pytest.raises(TargetFault, match="refused"):
        probe.reach()
    assert threads_of_clients() > before
    del probe
    assert ends(before)


def ends(before: int) -> bool:
    """Whether no more threads than ``before`` are left soon."""
    deadline = time.monotonic() + 5
    while threads_of_clients() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    return threads_of_clients() == before
