"""Noticing a watch that has died: what the API server lists is held against what the watch delivered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]
"""Namespace and name of an OutboxRelay."""
Version = tuple[str, int]
"""uid and generation."""

PATIENCE_SECONDS = 20.0
"""How long the watch may lag behind the list."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences so far, and since when each lasts."""

    since: Mapping[tuple[Key, Version], float] = field(default_factory=dict)

    def missed(self) -> frozenset[Key]:
        """Relays whose newest version the watch has not delivered."""
        return frozenset(key for key, _ in self.since)

    def blind(self, now: float) -> Key | None:
        """A relay whose version was listed more than the patience ago and is still not delivered."""
        lasting = [key for (key, _), start in self.since.items() if now - start >= PATIENCE_SECONDS]
        return min(lasting, default=None)


def compare(
    before: Comparison, *, listed: Mapping[Key, Version], delivered: Mapping[Key, Version], now: float
) -> Comparison:
    """The comparison after one more LIST. A difference counts from when it was first seen, while it is the same.

    ``delivered`` must be taken after the list was complete; the watch may be ahead of the list.
    """
    found: dict[tuple[Key, Version], float] = {}
    for key, version in listed.items():
        if _behind(version, delivered.get(key)):
            found[key, version] = before.since.get((key, version), now)
    return Comparison(found)


def vanished(
    *, before: Mapping[Key, Version], listed: Mapping[Key, Version], after: Mapping[Key, Version]
) -> frozenset[Key]:
    """Relays that were delivered before the LIST began, have not changed since, and are not in it.

    No sign of blindness: after a break the watch lists anew, and that does not name what is gone.
    """
    return frozenset(key for key, version in before.items() if key not in listed and after.get(key) == version)


def _behind(listed: Version, delivered: Version | None) -> bool:
    return delivered is None or listed[0] != delivered[0] or delivered[1] < listed[1]
