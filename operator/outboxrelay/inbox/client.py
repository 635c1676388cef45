"""The Kafka client of a worker: the user's settings, and those without which events would be skipped."""

from collections.abc import Mapping
from typing import Any

from outboxrelay.inbox.errors import InvalidSettings

FORCED = {"enable.auto.commit": False, "enable.auto.offset.store": False}
"""An offset is committed when its event is processed, never before."""


def client(settings: Mapping[str, Any]) -> Any:
    """A confluent_kafka.Consumer with ``settings`` of librdkafka; raises InvalidSettings."""
    from confluent_kafka import Consumer

    return Consumer(settings_of(settings))


def settings_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings``, completed; raises InvalidSettings where one of them would lose events."""
    if not settings.get("group.id"):
        raise InvalidSettings("group.id is missing: consumers that share the work have the same one")
    for name in FORCED:
        if str(settings.get(name, "false")).lower() != "false":
            raise InvalidSettings(f"{name} must be left out: it would commit offsets of events that are not processed")
    # librdkafka's own default, latest, would skip what was there before the group's first start.
    return {"auto.offset.reset": "earliest", **settings, **FORCED}
