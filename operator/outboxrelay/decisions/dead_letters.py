"""What a dead letter looks like: the row as it is, and in headers what became of it."""

from outboxrelay.decisions.mapping import Header, Message
from outboxrelay.decisions.outcomes import DeadLetter
from outboxrelay.decisions.rows import NARROW, tail_of

PREFIX = "outboxrelay."
MAX_MESSAGE = 1000


def dead_letter(letter: DeadLetter, topic: str, source_topic: str) -> Message:
    """The message for ``topic``: key, payload and time of the row, and headers that tell cause, attempts and origin."""
    row_id, event_id, key, kind, payload, milliseconds, _ = letter.row[:NARROW]
    headers, row_topic, _, extras = tail_of(letter.row)
    told: dict[str, str | None] = {
        "reason": str(letter.refusal.reason),
        "message": letter.refusal.message[:MAX_MESSAGE],
        "attempts": str(letter.attempts),
        "topic": row_topic or source_topic,
        "row": str(row_id),
        "headers": headers,
        "columns": None if extras is None else "\n".join(extra or "" for extra in extras),
    }
    found: list[Header] = [(PREFIX + name, _sendable(value)) for name, value in told.items() if value is not None]
    found.append(("id", _sendable(event_id)))
    if kind is not None:
        found.append(("type", _sendable(kind)))
    return Message(topic, -1, _sendable(key), _sendable(payload), found, milliseconds or 0)


def _sendable(value: str | bytes | None) -> bytes | None:
    """Bytes of any text, of one that is not Unicode too: a dead letter must not fail for what made it one."""
    return value.encode(errors="surrogatepass") if isinstance(value, str) else value
