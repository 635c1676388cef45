"""How often a handler that fails is tried again, and after which wait. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """``attempts`` in all; then the partition stops. Waits double from ``first_seconds`` to ``most_seconds``."""

    attempts: int = 5
    first_seconds: float = 0.1
    most_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_seconds < 0 or self.most_seconds < self.first_seconds:
            raise ValueError("Retry: attempts must be 1 at least, and first_seconds between 0 and most_seconds")

    def wait(self, failed: int) -> float:
        """Seconds after the ``failed``-th failure in a row."""
        return float(min(self.most_seconds, self.first_seconds * 2 ** min(failed - 1, 30)))

    def gives_up(self, failed: int) -> bool:
        """Whether the partition stops now."""
        return failed >= self.attempts
