"""publish and publish_sync."""

import json
from collections.abc import Mapping
from typing import Any, Final

from outboxrelay.outbox.calls import OUTBOX_PUBLISH, Argument, Call, Name
from outboxrelay.outbox.drivers import run, run_async
from outboxrelay.outbox.trace import current_traceparent

CURRENT: Final = "current"
"""The trace context of the current OpenTelemetry span; none where there is none."""


async def publish(
    conn: Any,
    event_type: str | None,
    key: str | None,
    payload: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    traceparent: str | None = CURRENT,
    columns: Mapping[str, str | None] | None = None,
    function: Name = OUTBOX_PUBLISH,
) -> str:
    """Write one event in the transaction that is open on ``conn``; the id under which it arrives, header ``id``.

    ``payload`` is anything that json.dumps takes; None is SQL NULL, a tombstone where the relay is set so. ``headers``
    become Kafka headers: texts, numbers, booleans, None. ``columns`` are further arguments that the function has for
    this table, such as the columns that make the topic. ``function`` names another than outbox_publish, taken
    literally: ("shop", "orders_outbox_publish").

    Raises NotInTransaction and UnknownConnection, TypeError or ValueError where json.dumps does, and the driver's own
    exceptions. Where the transaction is rolled back the event was never there.
    """
    call = publish_call(event_type, key, payload, headers, traceparent, columns, function)
    return str(await run_async(conn, call))


def publish_sync(
    conn: Any,
    event_type: str | None,
    key: str | None,
    payload: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    traceparent: str | None = CURRENT,
    columns: Mapping[str, str | None] | None = None,
    function: Name = OUTBOX_PUBLISH,
) -> str:
    """The same for sessions that are not asynchronous."""
    call = publish_call(event_type, key, payload, headers, traceparent, columns, function)
    return str(run(conn, call))


def publish_call(
    event_type: str | None,
    key: str | None,
    payload: Any,
    headers: Mapping[str, Any] | None,
    traceparent: str | None,
    columns: Mapping[str, str | None] | None,
    function: Name,
) -> Call:
    """What is sent; see publish."""
    parent = current_traceparent() if traceparent == CURRENT else traceparent
    return Call(
        function,
        (
            *(Argument(name, "text", value) for name, value in (columns or {}).items()),
            Argument("event_type", "text", event_type),
            Argument("event_key", "text", key),
            Argument("payload", "jsonb", None if payload is None else as_json(payload)),
            Argument("headers", "jsonb", as_json(dict(headers or {}))),
            Argument("traceparent", "text", parent),
        ),
    )


def as_json(value: Any) -> str:
    """JSON as PostgreSQL takes it: NaN and infinities are none."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
