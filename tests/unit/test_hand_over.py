"""Rows that cannot be sent do not send the others of their batch the long way: the real client, mock brokers."""

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from outboxrelay.adapters.kafka_config import producer_config
from outboxrelay.adapters.kafka_delivery import Delivery
from outboxrelay.adapters.kafka_topic import TopicBook, TopicLimits
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import Outcome, Refused
from outboxrelay.decisions.rows import Row
from outboxrelay.errors import TargetFault
from tests.support.fake_source import row
from tests.support.mock_brokers import MockBrokers, mock_brokers
from tests.support.relay_process import manifest

LIMITS = TopicLimits(max_message_bytes=20_000, min_in_sync_replicas=1, partitions=1)


class Probe:
    """Every topic is there. ``answer`` is called when somebody waits to be told how large a record it takes now."""

    def __init__(self, answer: Callable[[], int | None]) -> None:
        self.answer = answer

    def check(self, _topic: str) -> TopicLimits:
        return LIMITS

    def ask_bytes(self, _topic: str) -> Callable[[], int | None]:
        return self.answer


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    with mock_brokers("a") as found:
        yield found


Answer = Callable[[Producer], int | None]


def delivery(brokers: MockBrokers, *, routed: bool, strict: bool = False, answer: Answer = lambda _: None) -> Delivery:
    target = {"topic": None, "topicTemplate": "{topic}", "allowedTopics": ["a"]} if routed else {}
    ordering = {"mode": "Strict", "shards": 1} if strict else {}
    config = manifest(table="outbox", topic="a", servers=brokers.servers, target=target, ordering=ordering)
    spec = parse_manifest(config).spec
    common: dict[str, str | int | float | bool] = {"bootstrap.servers": brokers.servers, "log_level": 0}
    producer = Producer({**producer_config(common, spec.target, LIMITS), "batch.size": 19_000})
    book = TopicBook(Probe(lambda: answer(producer)))  # type: ignore[arg-type]
    book.learn("a")
    made = Delivery(
        producer, Mapper(spec), book, routed=routed, strict=strict, batch_bytes=19_000, deadline=10,
        diagnose=lambda: TargetFault(Reason.BROKER_UNAVAILABLE, "away"), give_up=lambda: False,
    )  # fmt: skip
    made.begin()
    return made


def sent(outcome: Outcome) -> tuple[dict[int | str, Reason], set[int | str]]:
    assert isinstance(outcome, Refused)
    return {refusal.row_id: refusal.reason for refusal in outcome.refusals}, set(outcome.unsent)


def batch(*, routed: bool) -> list[Row]:
    """Poison in the keys 2 (nothing to send) and 4 (too large), with rows of the same keys behind it, and one alone."""
    topic = "a" if routed else None
    rows = [row(number, f"k{number % 10}", topic=topic) for number in range(1, 61)]
    rows[1] = row(2, "k2", None, topic=topic)
    rows[3] = row(4, "k4", "x" * 30_000, topic=topic)
    rows[4] = row(5, None, None, topic=topic)
    return rows


@pytest.mark.parametrize("routed", [True, False], ids=["routed", "one topic"])
def test_what_is_behind_rows_that_cannot_be_sent_is_handed_over_at_once_except_in_their_keys(
    brokers: MockBrokers, routed: bool
) -> None:
    line, rows = delivery(brokers, routed=routed), batch(routed=routed)
    assert line.hand_over(rows[:25]) == 25
    assert line.hand_over(rows[25:]) == 35
    refused, unsent = sent(line.send(rows, 60))
    assert refused == {2: Reason.ROW_UNMAPPABLE, 4: Reason.ROW_TOO_LARGE, 5: Reason.ROW_UNMAPPABLE}
    assert unsent == {number for number in range(11, 61) if number % 10 in (2, 4)} - {5}


def test_nothing_is_remembered_of_the_batch_before(brokers: MockBrokers) -> None:
    line, rows = delivery(brokers, routed=False), batch(routed=False)
    line.send(rows, line.hand_over(rows))
    line.begin()
    again = [row(number, "k2") for number in (101, 102)]
    assert line.hand_over(again) == 2
    assert not isinstance(line.send(again, 2), Refused)


@pytest.mark.parametrize("routed", [True, False], ids=["routed", "one topic"])
def test_in_strict_order_nothing_goes_behind_a_row_that_cannot_be_sent(brokers: MockBrokers, routed: bool) -> None:
    line, rows = delivery(brokers, routed=routed, strict=True), batch(routed=routed)
    assert line.hand_over(rows) == 60
    refused, unsent = sent(line.send(rows, 60))
    assert set(refused) == {2}
    assert unsent == set(range(3, 61))


def test_a_batch_of_nothing_but_rows_that_cannot_be_sent_is_refused_whole(brokers: MockBrokers) -> None:
    line = delivery(brokers, routed=False)
    rows = [row(number, f"k{number}", None) for number in range(500)]
    assert line.hand_over(rows) == 500
    refused, unsent = sent(line.send(rows, 500))
    assert (len(refused), unsent) == (500, set())


def test_what_is_on_its_way_does_not_wait_for_what_a_topic_takes_now(brokers: MockBrokers) -> None:
    left: list[int] = []
    brokers.set_round_trip(200)
    line = delivery(brokers, routed=True, answer=lambda producer: left.append(len(producer)))
    rows = batch(routed=True)
    line.send(rows, line.hand_over(rows))
    assert left == [0], "rows on their way when the answer was waited for"


def test_a_row_that_a_topic_takes_since_a_moment_ago_is_not_refused(brokers: MockBrokers) -> None:
    line, rows = delivery(brokers, routed=True, answer=lambda _: 40_000), batch(routed=True)
    refused, unsent = sent(line.send(rows, line.hand_over(rows)))
    assert refused == {2: Reason.ROW_UNMAPPABLE, 5: Reason.ROW_UNMAPPABLE}
    assert 4 in unsent
    assert line.spent, "the producer's batches are made for the limit of before"
