"""What is known of the database and of the brokers, and since when."""

from outboxrelay.api.names import Reason
from outboxrelay.api.report import Health
from outboxrelay.errors import Fault
from outboxrelay.relay.ports import Clock


class HealthTracker:
    """One side of the relay."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.current = Health()

    def good(self) -> None:
        """It works."""
        self._become(True, Reason.CONNECTED, "")

    def bad(self, fault: Fault) -> None:
        """It does not, because of ``fault``."""
        self._become(False, fault.reason, fault.message)

    def _become(self, healthy: bool, reason: str, message: str) -> None:
        before = self.current
        if (before.healthy, before.reason, before.message) == (healthy, reason, message):
            return
        same = (before.healthy, before.reason) == (healthy, reason)
        since = before.since if same else self._clock.now()
        self.current = Health(healthy=healthy, reason=str(reason), message=message, since=since)
