"""What the controller is started with."""

from dataclasses import dataclass, field


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
    webhook_urls: tuple[str, ...] = field(default=(), repr=False)
    """Each may carry credentials."""
    alertmanager_urls: tuple[str, ...] = field(default=(), repr=False)
    notify_severity: str = "Warning"
    """Incidents that are milder are not told."""
    runbook_url: str = "docs/incidents"
    """Base of the links to the pages of incidents."""
    critical_priority_class: str = ""
    """PriorityClass of the pods of critical relays; empty: none."""
    rollouts_at_once: int = 5
    """Relays whose pods an upgrade replaces side by side."""
    rollout_watch: float = 30.0
    """Seconds for which a relay is watched after that, before the next one takes its place."""
    console_port: int | None = None
    """Of the console on 127.0.0.1; None: no console."""
