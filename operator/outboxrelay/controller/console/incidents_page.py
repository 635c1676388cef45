"""Open incidents, worst first; what relays share is one entry with the relays under it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outboxrelay.decisions.fleet import Row
from outboxrelay.decisions.incidents.listing import Found, Group, grouped, worst_first

MOST_GROUPS = 200
MOST_RELAYS = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault."""

    first: Found
    relays: tuple[Found, ...]
    left_out: int
    """Relays that are not named."""
    seconds: float | None


def context(rows: Sequence[Row], now: datetime) -> dict[str, Any]:
    """What the template shows."""
    found = worst_first(Found(row.namespace, row.name, item) for row in rows for item in row.incidents)
    groups = grouped(found)
    return {
        "entries": [_entry(group, now) for group in groups[:MOST_GROUPS]],
        "left_out": max(0, len(groups) - MOST_GROUPS),
        "faults": len(groups),
        "critical": sum(1 for group in groups if group.first.incident.severity == "Critical"),
        "affected": len({(item.namespace, item.relay) for item in found}),
        "relays": len(rows),
    }


def _entry(group: Group, now: datetime) -> Entry:
    named = sorted(group.found, key=lambda item: (item.namespace, item.relay))[:MOST_RELAYS]
    return Entry(group.first, tuple(named), len(group.found) - len(named), group.seconds(now))
