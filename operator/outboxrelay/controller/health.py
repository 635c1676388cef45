"""What /livez and /readyz answer."""

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """The state of this process, set by what runs in it."""

    connected: bool = False
    """Whether the Kubernetes API has answered since the start: a standby is ready from then on."""
    leading: bool = False
    working: bool = False
    """Whether a leader's watches are up."""
    holder: str = ""
    """Who holds the Lease, as last seen."""
    blind: str = ""
    """Why the process must be replaced."""

    def live(self) -> tuple[bool, str]:
        """Whether the process is worth keeping."""
        return (False, self.blind) if self.blind else (True, "ok")

    def ready(self) -> tuple[bool, str]:
        """Whether the process does its part, leading or standing by."""
        if self.blind:
            return False, self.blind
        if not self.connected:
            return False, "the Kubernetes API has not answered yet"
        if self.leading:
            return self.working, "leading" if self.working else "leading; the watches are not up yet"
        return True, "standing by"
