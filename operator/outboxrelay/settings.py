"""What the controller is started with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """One controller process."""

    relay_image: str
    namespaces: tuple[str, ...]
    """None: the whole cluster."""
    lease_namespace: str
    lease_name: str
    identity: str
    port: int
    status_interval: float
    probe_interval: float
    log_level: str
