"""Which column of an outbox table holds what: what a spec leaves open, its preset says."""

from dataclasses import dataclass, replace
from typing import Final, Literal

Preset = Literal["Native", "Debezium"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Column names, taken literally; "" = the table has no such column."""

    id: str = "id"
    event_id: str = "event_id"
    key: str = "aggregate_id"
    type: str = "event_type"
    payload: str = "payload"
    headers: str = ""
    created_at: str = "created_at"
    delivered_at: str = "delivered_at"
    partition: str = ""
    traceparent: str = ""


PRESETS: Final[dict[Preset, Layout]] = {
    "Native": Layout(),
    # The columns that Debezium's outbox event router expects by default; its table has no time of its own.
    "Debezium": Layout(event_id="id", key="aggregateid", type="type", created_at=""),
}
PRESET_TEMPLATES: Final[dict[Preset, str]] = {"Debezium": "outbox.event.{aggregatetype}"}
"""Topic templates of presets that route by themselves."""


def layout_of(preset: Preset, given: dict[str, str | None]) -> Layout:
    """The columns of ``preset``, with those that the spec names in ``given``."""
    return replace(PRESETS[preset], **{field: name for field, name in given.items() if name is not None})
