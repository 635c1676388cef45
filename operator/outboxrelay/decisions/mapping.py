"""From an outbox row to a Kafka message. What cannot be mapped says why, in words for the person who wrote the row."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.api.target import CloudEvents
from outboxrelay.decisions.routing import Router
from outboxrelay.decisions.rows import MAX_PAYLOAD_BYTES, NARROW, Row, tail_of
from outboxrelay.decisions.unmappable import TooLarge, Unmappable

Header = tuple[str, str | bytes | None]

BY_KEY: Final = -1
"""The partitioner decides."""
LAST_PARTITION: Final = 2**31 - 1
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRACE = r"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
TRACEPARENT = re.compile(f"00{_TRACE}|(?!00|ff)[0-9a-f]{{2}}{_TRACE}(-.*)?")
"""W3C Trace Context, section 3.2; versions after 00 may carry more behind the flags."""


class Message(NamedTuple):
    """What the producer is given."""

    topic: str
    partition: int
    key: str | bytes | None
    value: str | bytes | None
    headers: list[Header]
    timestamp: int
    """Milliseconds since 1970; 0 = the time of sending."""


class Mapper:
    """Maps rows as one spec says."""

    def __init__(self, spec: OutboxRelaySpec) -> None:
        target, layout, template = spec.target, spec.source.table.layout, spec.topic_template
        self.topic = target.topic or ""
        """The topic of every row; "" where rows name theirs."""
        self._router = Router(template, spec.allowed_topics) if template else None
        self._traced = bool(layout.traceparent)
        self._columns = [header.name for header in target.headers]
        self._cloud_events = target.cloud_events
        self._tombstones = target.null_payload == "Tombstone"
        self._partition = 0 if spec.ordering.mode == "Strict" else BY_KEY
        self.skipped_traceparents = 0
        """Rows whose trace context was none, and was left out."""
        tail = self._router or self._traced or self._columns or layout.partition or layout.headers
        self.plain = not tail and not self._cloud_events and self._partition == BY_KEY
        """Whether a row has no tail, and with a payload, a type and a time needs nothing but its fields."""

    def message(self, row: Row) -> Message:
        """The message of ``row``; raises Unmappable."""
        row_id, event_id, key, kind, payload, milliseconds, size = row[:NARROW]
        mapped, topic, partition, extras = tail_of(row)
        if payload is None:
            self._check_null(size)
        headers = mapped_headers(mapped) if mapped is not None else []
        if extras:
            headers += self._from_columns(extras)
        if self._cloud_events:
            headers += cloud_event_headers(self._cloud_events, row)
        # The relay's own come last, where a consumer that asks for the last one of a name finds them.
        headers.append(("id", event_id))
        if kind is not None:
            headers.append(("type", kind))
        if isinstance(row_id, int):
            headers.append(("sequence", str(row_id)))
        if partition is not None and not 0 <= partition <= LAST_PARTITION:
            raise Unmappable(f"{partition} is no number of a partition; leave it NULL to go by the key")
        message = Message(
            self._router.check(topic) if self._router else self.topic,
            self._partition if partition is None else partition,
            key,
            payload,
            headers,
            milliseconds or 0,
        )
        _check_encodable(message)
        return message

    def _check_null(self, size: int | None) -> None:
        if size is not None:
            raise TooLarge(f"payload and headers have {size} bytes; the relay reads up to {MAX_PAYLOAD_BYTES}")
        if not self._tombstones:
            raise Unmappable("the payload is NULL; set spec.target.nullPayload to Tombstone if that is meant to delete")

    def _from_columns(self, extras: list[str | None]) -> list[Header]:
        headers: list[Header] = []
        values = extras
        if self._traced:
            traceparent, values = extras[0], extras[1:]
            if traceparent is not None and TRACEPARENT.fullmatch(traceparent):
                headers.append(("traceparent", traceparent))
                if self._cloud_events:
                    headers.append(("ce_traceparent", traceparent))
            elif traceparent is not None:
                # A trace is not worth an event.
                self.skipped_traceparents += 1
        return headers + [(name, value) for name, value in zip(self._columns, values, strict=True) if value is not None]


def cloud_event_headers(settings: CloudEvents, row: Row) -> list[Header]:
    """Attributes of ``row`` as headers (CloudEvents 1.0, Kafka protocol binding, binary mode); raises Unmappable."""
    _, event_id, key, kind, payload, milliseconds, _ = row[:NARROW]
    if not kind:
        raise Unmappable("a CloudEvent needs a type, and the row has none (spec.source.table.columns.type)")
    headers: list[Header] = [
        ("ce_specversion", "1.0"),
        ("ce_id", event_id),
        ("ce_source", settings.source),
        ("ce_type", kind),
    ]
    if key:
        headers.append(("ce_subject", key))
    if milliseconds is not None:
        headers.append(("ce_time", _rfc3339(milliseconds)))
    if payload is not None:
        headers.append(("content-type", settings.data_content_type))
    return headers


def mapped_headers(text: str) -> list[Header]:
    """Headers from the text of a JSON object: texts as they are, null as a null value, other scalars as JSON."""
    try:
        members = json.loads(text, object_pairs_hook=list, parse_float=_Literal, parse_int=_Literal)
    except RecursionError:
        raise Unmappable("the headers column holds JSON that is nested too deeply") from None
    if not isinstance(members, list) or (members and not isinstance(members[0], tuple)) or _is_array(text):
        raise Unmappable("the headers column must hold a JSON object")
    if any("\0" in name for name, _ in members):
        # librdkafka's names end there: the header would arrive under another one.
        raise Unmappable("the headers column holds a name with a NUL character")
    return [(name, _value(name, value)) for name, value in members]


class _Literal(str):
    """A number as it was written: 1.10 stays 1.10."""

    __slots__ = ()


def _is_array(text: str) -> bool:
    return text.lstrip()[:1] == "["


def _value(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise Unmappable(f"header {name[:80]!r} must be a text, a number, true, false or null, not an object or an array")


def _rfc3339(milliseconds: int) -> str:
    try:
        moment = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise Unmappable("the time of the event is behind the year 9999") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_encodable(message: Message) -> None:
    """librdkafka takes UTF-8; a lone surrogate, which JSON can escape, has none."""
    try:
        for name, value in message.headers:
            name.encode()
            if isinstance(value, str):
                value.encode()
        for text in (message.key, message.value):
            if isinstance(text, str) and not text.isascii():
                text.encode()
    except UnicodeEncodeError as error:
        raise Unmappable(f"not UTF-8: a lone surrogate in {error.object[:40]!r}") from None
