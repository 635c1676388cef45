"""What becomes of a batch when brokers refuse it: the real client against librdkafka's mock brokers."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from outboxrelay.adapters.credentials import MappingCredentials
from outboxrelay.adapters.kafka_config import producer_config
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_publisher import KafkaPublisher
from outboxrelay.adapters.kafka_topic import TopicBook, TopicLimits
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Broken, Delivered, Outcome, Refused
from outboxrelay.decisions.rows import Row
from outboxrelay.errors import TargetFault, TopicFault
from tests.support.fake_source import row
from tests.support.mock_brokers import INIT_PRODUCER_ID, PRODUCE, MockBrokers, mock_brokers
from tests.support.relay_process import manifest

AWAY = TargetFault(Reason.BROKER_UNAVAILABLE, "no broker answers")
LIMITS = TopicLimits(max_message_bytes=1_048_588, min_in_sync_replicas=1, partitions=1)


class Topics:
    """What a probe would find: every topic is well, but those that ``faults`` names."""

    def __init__(self) -> None:
        self.faults: dict[str, TargetFault] = {}

    def check(self, topic: str) -> TopicLimits:
        if topic in self.faults:
            raise self.faults[topic]
        return LIMITS


class Line:
    """One delivery through a producer of its own."""

    def __init__(self, brokers: MockBrokers, *, routed: bool, strict: bool, batch_bytes: int) -> None:
        target = {"topic": None, "topicTemplate": "{topic}", "allowedTopics": ["*"]} if routed else {}
        ordering = {"mode": "Strict", "shards": 1} if strict else {}
        config = manifest(table="outbox", topic="a", servers=brokers.servers, target=target, ordering=ordering)
        spec = parse_manifest(config).spec
        self.brokers = brokers
        self.topics = Topics()
        self.book = TopicBook(self.topics)  # type: ignore[arg-type]
        self.stopping = False
        # An error_cb changes how the client tells of a producer that it ended, so there is one here as well.
        options: dict[str, Any] = {
            **producer_config({"bootstrap.servers": brokers.servers, "log_level": 0}, spec.target, None),
            "batch.size": batch_bytes,
            "error_cb": lambda _: None,
        }
        self._delivery = partial(
            Delivery,
            Producer(options),
            Mapper(spec),
            self.book,
            routed=routed,
            strict=strict,
            batch_bytes=batch_bytes,
            diagnose=lambda: AWAY,
            give_up=lambda: self.stopping,
        )
        self.spent = False

    def send(self, *rows: Row, deadline: float = 10) -> Outcome:
        delivery = self._delivery(deadline=deadline)
        delivery.begin()
        outcome = delivery.send(rows, delivery.hand_over(rows))
        self.spent = delivery.spent
        return outcome


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    with mock_brokers("a", "b") as found:
        yield found


def line(
    brokers: MockBrokers,
    *,
    routed: bool = False,
    strict: bool = False,
    batch_bytes: int = 100_000,
) -> Line:
    return Line(brokers, routed=routed, strict=strict, batch_bytes=batch_bytes)


def rows(*ids: int, topic: str | None = None, payload: str = "{}") -> Sequence[Row]:
    return [row(number, topic=topic, payload=payload) for number in ids]


RETRIED = [
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.DUPLICATE_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
]


@pytest.mark.parametrize("code", RETRIED, ids=lambda code: KafkaError(code).name())
def test_what_the_client_gets_over_by_itself_is_no_outcome(brokers: MockBrokers, code: int) -> None:
    brokers.answer(PRODUCE, code)
    assert line(brokers).send(*rows(1, 2, 3)) == Delivered()


@pytest.mark.parametrize("code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD])
def test_of_a_batch_that_is_blamed_as_a_whole_only_the_guilty_row_is_refused(brokers: MockBrokers, code: int) -> None:
    brokers.answer(PRODUCE, code, 0, code, 0)
    outcome = line(brokers).send(row(1, "x"), row(2, "y"), row(3, "z"))
    assert isinstance(outcome, Refused)
    assert [item.row_id for item in outcome.refusals] == [2]
    assert outcome.unsent == frozenset()


def test_what_is_behind_a_guilty_row_in_its_key_is_not_sent(brokers: MockBrokers) -> None:
    brokers.answer(PRODUCE, KafkaError.INVALID_RECORD, KafkaError.INVALID_RECORD, 0)
    outcome = line(brokers).send(row(1, "x"), row(2, "x"), row(3, "y"))
    assert isinstance(outcome, Refused)
    assert [item.row_id for item in outcome.refusals] == [1]
    assert outcome.unsent == frozenset({2})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (KafkaError.INVALID_REQUEST, Reason.BROKER_UNAVAILABLE),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, Reason.AUTHORIZATION_FAILED),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Reason.AUTHORIZATION_FAILED),
        (KafkaError.INVALID_PRODUCER_EPOCH, Reason.PRODUCER_FATAL),
    ],
)
def test_a_fault_that_is_not_a_rows_confirms_nothing_and_blames_no_row(
    brokers: MockBrokers, code: int, reason: Reason
) -> None:
    brokers.answer(PRODUCE, code)
    outcome = line(brokers).send(*rows(1, 2, 3))
    assert isinstance(outcome, Broken)
    assert (outcome.fault.reason, outcome.confirmed) == (reason, ())


def test_rows_that_arrived_before_one_of_their_key_that_a_fault_kept_back_are_counted(brokers: MockBrokers) -> None:
    brokers.answer(PRODUCE, KafkaError.INVALID_REQUEST)
    outcome = line(brokers, batch_bytes=1000).send(*rows(*range(1, 9), payload="x" * 700))
    assert isinstance(outcome, Broken)
    assert outcome.overtaken == len(outcome.confirmed)
    assert 1 not in outcome.confirmed


def test_an_answer_to_something_that_was_never_asked_is_a_bug(brokers: MockBrokers) -> None:
    brokers.answer(PRODUCE, KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException, match="GROUP_AUTHORIZATION_FAILED"):
        line(brokers).send(*rows(1))


def test_a_producer_that_the_client_ended_confirms_nothing_and_is_replaced(brokers: MockBrokers) -> None:
    found = line(brokers)
    assert found.send(*rows(1)) == Delivered()
    brokers.answer(PRODUCE, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    outcome = found.send(*rows(2, 3, 4))
    assert isinstance(outcome, Broken)
    assert (outcome.fault.reason, outcome.confirmed) == (Reason.PRODUCER_FATAL, ())
    assert "sequence" in outcome.fault.message
    assert found.spent
    assert line(brokers).send(*rows(2, 3, 4)) == Delivered()


def test_a_user_who_may_not_write_idempotently_is_told_which_right_is_missing(brokers: MockBrokers) -> None:
    brokers.answer(INIT_PRODUCER_ID, *[KafkaError.CLUSTER_AUTHORIZATION_FAILED] * 3)
    found = line(brokers)
    outcome = found.send(*rows(1, 2))
    assert isinstance(outcome, Broken)
    assert (outcome.fault.reason, outcome.confirmed) == (Reason.AUTHORIZATION_FAILED, ())
    assert "IdempotentWrite" in outcome.fault.message


async def test_a_publisher_notices_that_its_producer_ended_while_nothing_is_sent_and_drops_it(
    brokers: MockBrokers,
) -> None:
    spec = parse_manifest(manifest(table="outbox", topic="a", servers=brokers.servers)).spec
    publisher = KafkaPublisher(spec, Mapper(spec), MappingCredentials({}))
    brokers.answer(INIT_PRODUCER_ID, *[KafkaError.CLUSTER_AUTHORIZATION_FAILED] * 3)
    await publisher.open()
    async with asyncio.timeout(20):
        while (fault := await publisher.check()) is None:
            await asyncio.sleep(0.05)
    assert fault.reason == Reason.AUTHORIZATION_FAILED
    outcome = await publisher.publish(rows(1, 2))
    assert isinstance(outcome, Broken)
    assert (outcome.fault.reason, outcome.confirmed) == (Reason.PRODUCER_FATAL, ())
    await publisher.discard()
    assert await publisher.check() is None
    await publisher.close()


def test_brokers_that_are_gone_confirm_nothing(brokers: MockBrokers) -> None:
    found = line(brokers)
    assert found.send(*rows(1)) == Delivered()
    brokers.set_up(up=False)
    outcome = found.send(*rows(2, 3), deadline=0.2)
    assert outcome == Broken(AWAY, ())
    assert found.spent


def test_a_batch_that_is_given_up_confirms_nothing(brokers: MockBrokers) -> None:
    brokers.set_round_trip(10_000)
    found = line(brokers)
    found.stopping = True
    outcome = found.send(*rows(1, 2))
    assert isinstance(outcome, Broken)
    assert (outcome.fault.reason, outcome.confirmed) == (Reason.STOPPED, ())


def test_rows_on_their_way_are_not_confirmed_where_the_topic_of_a_row_behind_them_cannot_be_asked_for(
    brokers: MockBrokers,
) -> None:
    found = line(brokers, routed=True)
    assert found.send(*rows(1, topic="a")) == Delivered()
    brokers.set_up(up=False)
    found.topics.faults["b"] = AWAY
    outcome = found.send(*rows(2, 3, topic="a"), *rows(4, topic="b"), deadline=0.2)
    assert outcome == Broken(AWAY, ())


def test_rows_on_their_way_are_waited_for_where_the_topic_of_a_row_behind_them_is_missing(
    brokers: MockBrokers,
) -> None:
    found = line(brokers, routed=True, strict=True)
    assert found.send(*rows(1, topic="a")) == Delivered()
    missing = found.topics.faults["b"] = TopicFault(Reason.TOPIC_NOT_FOUND, "topic b not found", "b")
    brokers.set_round_trip(300)
    outcome = found.send(*rows(2, topic="a"), *rows(3, topic="b"), *rows(4, topic="a"))
    assert outcome == Broken(missing, (2,))
    brokers.set_up(up=False)
    outcome = found.send(*rows(5, topic="a"), *rows(6, topic="b"), deadline=0.2)
    assert outcome == Broken(missing, ())


def test_a_topic_that_refuses_holds_up_its_rows_and_no_others(brokers: MockBrokers) -> None:
    brokers.answer_produce("b", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    outcome = line(brokers, routed=True).send(
        *rows(1, topic="a"), *rows(2, 3, topic="b"), *rows(4, topic="a"),
    )  # fmt: skip
    assert isinstance(outcome, Refused)
    assert (outcome.refusals, outcome.unsent) == ((), frozenset({2, 3}))
    assert [(fault.topic, fault.reason) for fault in outcome.blocked] == [("b", Reason.AUTHORIZATION_FAILED)]


def test_a_topic_that_refuses_a_row_which_is_sent_again_alone_is_blocked_and_the_row_is_not_blamed(
    brokers: MockBrokers,
) -> None:
    brokers.answer_produce("a", KafkaError.INVALID_RECORD, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    outcome = line(brokers, routed=True).send(*rows(1, 2, topic="a"))
    assert isinstance(outcome, Refused)
    assert (outcome.refusals, outcome.unsent) == ((), frozenset({1, 2}))
    assert [fault.topic for fault in outcome.blocked] == ["a"]


def test_a_missing_topic_explains_no_fault_of_the_brokers(brokers: MockBrokers) -> None:
    found = line(brokers, routed=True)
    assert found.send(*rows(1, topic="a")) == Delivered()
    found.topics.faults["b"] = TopicFault(Reason.TOPIC_NOT_FOUND, "topic b not found", "b")
    brokers.set_up(up=False)
    assert found.send(*rows(2, topic="b"), *rows(3, topic="a"), deadline=0.2) == Broken(AWAY, ())


def test_rows_that_were_never_handed_over_have_overtaken_nothing(brokers: MockBrokers) -> None:
    found = line(brokers, routed=True)
    found.topics.faults["b"] = TopicFault(Reason.TOPIC_NOT_FOUND, "topic b not found", "b")
    brokers.answer_produce("a", KafkaError.INVALID_RECORD, KafkaError.INVALID_RECORD)
    outcome = found.send(*rows(1, topic="a"), *rows(2, topic="b"))
    assert isinstance(outcome, Refused)
    assert (outcome.unsent, outcome.overtaken) == (frozenset({2}), 0)
