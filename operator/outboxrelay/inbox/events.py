"""From a Kafka message of a relay to an event."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from outboxrelay.inbox.errors import NotAnEvent


class Message(Protocol):
    """What is read of a confluent_kafka.Message."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[tuple[str, bytes | None]] | None: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a relay sent it."""

    id: str
    """Header id: the same whenever it comes again."""
    type: str | None
    key: str | None
    value: bytes | None
    """The payload; None is a tombstone."""
    headers: dict[str, str | None]
    """By name; the last one where a name comes twice, as the relay's own come last."""
    topic: str
    partition: int
    offset: int

    def json(self) -> Any:
        """The payload; raises ValueError where it is no JSON."""
        return None if self.value is None else json.loads(self.value)

    def number(self, header: str) -> int:
        """The number in ``header``; raises NotAnEvent."""
        text = self.headers.get(header)
        if text is None or not (text.isascii() and text.isdigit()):
            shown = "has no" if text is None else f"has {text[:40]!r} as"
            raise NotAnEvent(f"event {self.id} {shown} header {header}: a number of the key is needed there")
        return int(text)


def event_of(message: Message) -> Event:
    """The event in ``message``; raises NotAnEvent where it has no id."""
    place = f"offset {message.offset()} of {message.topic()}, partition {message.partition()}"
    try:
        headers = {name: None if value is None else value.decode() for name, value in message.headers() or []}
        key = message.key()
        text = None if key is None else key.decode()
    except UnicodeDecodeError as error:
        raise NotAnEvent(f"{place}: key or headers are not UTF-8 ({error.reason})") from None
    event_id = headers.get("id")
    if not event_id:
        raise NotAnEvent(f"{place}: no header id, so it cannot be told from a repeat; only relays may write here")
    return Event(
        id=event_id,
        type=headers.get("type"),
        key=text,
        value=message.value(),
        headers=headers,
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
    )
