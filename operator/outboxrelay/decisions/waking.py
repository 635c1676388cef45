"""Whether writers are asked to ring, and when they ring too often to be asked any longer."""

from dataclasses import dataclass, replace
from enum import Enum

RINGS_PER_SECOND = 50.0
"""So often writers may ring in the long run. Each ring makes those that commit at the same time wait for its flush."""
MOST_RINGS = 10.0
"""So many may come at once."""
QUIET_SECONDS = 0.1
"""A relay that was too busy to be rung for asks again when nothing came for so long."""


class Asked(Enum):
    """What writers of an outbox table know."""

    BEFORE = "before"
    """All of them have been asked to ring since an earlier question."""
    NOW = "now"
    """All of them, from now on, and none is in the middle of a transaction: read once more, and nothing is missed."""
    SOME = "some"
    """Not those that are in the middle of a transaction: polls find what they commit."""


@dataclass(frozen=True, slots=True)
class Rings:
    """A bucket that rings fill and time empties; ``at`` is when it was looked at, in seconds."""

    at: float = 0.0
    level: float = 0.0

    def add(self, rings: int, now: float) -> "Rings":
        """With those heard since it was last looked at."""
        left = max(0.0, self.level - (now - self.at) * RINGS_PER_SECOND)
        return replace(self, at=now, level=left + rings)

    @property
    def is_full(self) -> bool:
        """Whether writers ring more than they should."""
        return self.level > MOST_RINGS
