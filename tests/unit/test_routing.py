"""Topics that rows name, and messages that rows become."""

from typing import Any

import pytest

from outboxrelay.api.manifest import parse_spec
from outboxrelay.api.names import Reason
from outboxrelay.decisions.dead_letters import dead_letter
from outboxrelay.decisions.mapping import Mapper
from outboxrelay.decisions.outcomes import DeadLetter, Refusal
from outboxrelay.decisions.rounds import rounds
from outboxrelay.decisions.routing import Router
from outboxrelay.decisions.rows import MAX_PAYLOAD_BYTES, Row
from outboxrelay.decisions.suspicion import sift
from outboxrelay.decisions.unmappable import TooLarge, Unmappable
from tests.support.fake_source import row
from tests.support.merging import merged
from tests.support.relay_process import manifest

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def mapper(**changes: Any) -> Mapper:
    spec = manifest(table="outbox", topic="t", servers="k:1")["spec"]
    return Mapper(parse_spec(merged(spec, changes)))


def wide(topic: str | None = None, partition: int | None = None, extras: list[str | None] | None = None) -> Row:
    return (1, "e", "k", "Placed", "{}", 1_700_000_000_000, 2, None, topic, partition, extras)


@pytest.mark.parametrize("topic", ["orders.eu", "orders.", "audit"])
def test_a_topic_that_is_allowed_is_taken(topic: str) -> None:
    assert Router("{topic}", ["orders.*", "audit"]).check(topic) == topic


@pytest.mark.parametrize(
    "topic", [None, "", "secret", "xorders.eu", "orders.eu\n", "orders.é", "auditx", ".", "a" * 250]
)
def test_a_topic_that_is_not_allowed_or_no_name_is_refused_with_the_reason(topic: str | None) -> None:
    with pytest.raises(Unmappable, match=r"topic"):
        Router("{topic}", ["orders.*", "audit"]).check(topic)


def test_dots_in_patterns_are_dots() -> None:
    with pytest.raises(Unmappable):
        Router("{topic}", ["a.b"]).check("axb")


def test_only_what_needs_nothing_takes_the_short_way() -> None:
    assert mapper().plain
    assert not mapper(target={"cloudEvents": {"source": "/x"}}).plain
    assert not mapper(target={"headers": [{"name": "a", "column": "b"}]}).plain
    assert not mapper(target={"topic": None, "topicTemplate": "{a}", "allowedTopics": ["*"]}).plain
    assert not mapper(source={"table": {"columns": {"traceparent": "t"}}}).plain
    assert not mapper(source={"table": {"columns": {"headers": "h"}}}).plain
    assert not mapper(ordering={"mode": "Strict", "shards": 1}).plain


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "00",
        TRACE.upper(),
        TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        "ff" + TRACE[2:],
        TRACE + "\n",
        TRACE + "-more",
    ],
)
def test_a_trace_context_that_is_none_is_left_out_and_counted(trace: str) -> None:
    found = mapper(source={"table": {"columns": {"traceparent": "t"}}})
    assert "traceparent" not in dict(found.message(wide(extras=[trace])).headers)
    assert found.skipped_traceparents == 1


def test_the_relays_own_headers_come_last() -> None:
    found = mapper(target={"headers": [{"name": "id", "column": "tenant"}]})
    assert found.message(wide(extras=["acme"])).headers == [
        ("id", "acme"), ("id", "e"), ("type", "Placed"), ("sequence", "1"),
    ]  # fmt: skip


def test_strict_order_goes_to_one_partition_unless_the_row_names_another() -> None:
    strict = mapper(ordering={"mode": "Strict", "shards": 1}, source={"table": {"columns": {"partition": "p"}}})
    assert strict.message(wide()).partition == 0
    assert strict.message(wide(partition=2)).partition == 2


@pytest.mark.parametrize("number", [-1, 2**31, 2**62])
def test_what_cannot_be_the_number_of_a_partition_is_refused(number: int) -> None:
    with pytest.raises(Unmappable, match="no number of a partition"):
        mapper(source={"table": {"columns": {"partition": "p"}}}).message(wide(partition=number))


def test_a_later_version_of_the_trace_context_may_say_more() -> None:
    found = mapper(source={"table": {"columns": {"traceparent": "t"}}})
    later = "01" + TRACE[2:] + "-more"
    assert dict(found.message(wide(extras=[later])).headers)["traceparent"] == later
    assert found.skipped_traceparents == 0


def test_a_cloud_event_carries_its_trace_twice_and_a_tombstone_no_content_type() -> None:
    found = mapper(
        source={"table": {"columns": {"traceparent": "t"}}},
        target={"cloudEvents": {"source": "/x"}, "nullPayload": "Tombstone"},
    )
    headers = dict(found.message(wide(extras=[TRACE])).headers)
    assert headers["traceparent"] == headers["ce_traceparent"] == TRACE
    assert headers["content-type"] == "application/json"
    tombstone: Row = (1, "e", "k", "Placed", None, None, None, None, None, None, [None])
    assert {"content-type", "ce_time"}.isdisjoint(dict(found.message(tombstone).headers))


def test_a_row_with_a_uuid_has_no_sequence() -> None:
    uuid_row: Row = ("3f2a", "3f2a", "k", "Placed", "{}", None, 2)
    assert mapper().message(uuid_row).headers == [("id", "3f2a"), ("type", "Placed")]


def test_a_null_payload_is_refused_or_a_tombstone_and_a_huge_one_is_too_large() -> None:
    with pytest.raises(Unmappable, match="nullPayload"):
        mapper().message(row(1, payload=None))
    assert mapper(target={"nullPayload": "Tombstone"}).message(row(1, payload=None)).value is None
    huge: Row = (1, "e", "k", "Placed", None, None, MAX_PAYLOAD_BYTES + 1)
    with pytest.raises(TooLarge) as caught:
        mapper(target={"nullPayload": "Tombstone"}).message(huge)
    assert caught.value.reason is Reason.ROW_TOO_LARGE


def test_text_that_is_no_unicode_is_refused_and_not_a_crash() -> None:
    for bad in (row(1, headers='{"a": "\\ud800"}'), row(1, key="\ud800"), row(1, payload="\udfff")):
        with pytest.raises(Unmappable, match="surrogate"):
            mapper().message(bad)


def test_a_time_behind_the_year_9999_is_refused_where_it_must_be_written_out() -> None:
    late: Row = (1, "e", "k", "Placed", "{}", 2**60, 2)
    with pytest.raises(Unmappable, match="9999"):
        mapper(target={"cloudEvents": {"source": "/x"}}).message(late)


def test_a_dead_letter_holds_everything_of_the_row_even_what_is_no_unicode() -> None:
    refusal = Refusal(1, Reason.ROW_UNMAPPABLE, "because")
    item = row(1, key="\ud800", payload="p", headers="[1]")
    found = dead_letter(DeadLetter(item, refusal, 3), "dead", "orders")
    headers = dict(found.headers)
    assert (found.topic, found.value, found.key) == ("dead", b"p", b"\xed\xa0\x80")
    assert headers["outboxrelay.reason"] == b"RowUnmappable"
    assert headers["outboxrelay.topic"] == b"orders"
    assert headers["outboxrelay.attempts"] == b"3"
    assert headers["outboxrelay.headers"] == b"[1]"


def test_rounds_hold_one_row_of_each_key_in_order() -> None:
    rows = [row(1, "a"), row(2, "a"), row(3, "b"), row(4, None), row(5, "a"), row(6, None), row(7, "b")]
    assert [[item[0] for item in part] for part in rounds(rows)] == [[1, 3, 4, 6], [2, 7], [5]]


def test_suspects_go_alone_and_the_condemned_not_at_all() -> None:
    rows = [row(i) for i in range(1, 6)]
    assert sift(rows, {3: 1}, 3) == (rows[:2], [])
    assert sift(rows[2:], {3: 1}, 3) == ([rows[2]], [])
    assert sift(rows, {1: 3, 2: 1}, 3) == ([rows[1]], [rows[0]])
    assert sift(rows, {}, 3) == (rows, [])
