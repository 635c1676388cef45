"""outboxrelay controller: the operator's process."""

import asyncio
import os
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import click

from outboxrelay.api.incidents import RUNBOOKS, Severity
from outboxrelay.cli import cli
from outboxrelay.cli.options import NAMESPACE, Number, Seconds
from outboxrelay.errors import InvalidInput
from outboxrelay.settings import ControllerSettings
from outboxrelay.telemetry import LEVELS, configure_logging

EPILOG = """\b
Examples:
  outboxrelay controller --relay-image registry.example/outboxrelay:0.1.0 \\
      --lease-namespace outboxrelay-system
  OUTBOXRELAY_CONTROLLER_NAMESPACE=shop,billing outboxrelay controller \\
      --relay-image registry.example/outboxrelay:0.1.0 --log-level debug

\b
The Helm chart runs it. Logs are JSON, a line each, on standard error.
Exit codes: 0 after SIGTERM; 1 no cluster, a port that is taken, or it had
  to start anew; 2 an option or variable is wrong.
"""


@cli.command("controller", short_help="Look after OutboxRelays: the operator.", epilog=EPILOG)
@click.option("--relay-image", metavar="IMAGE", required=True, help="Image of relay pods whose OutboxRelay names none.")
@click.option(
    "--namespace",
    "namespaces",
    metavar="NAME",
    multiple=True,
    envvar="OUTBOXRELAY_CONTROLLER_NAMESPACE",
    help="Namespace to look after; repeatable, or names joined by commas. Default: the whole cluster.",
)
@click.option("--lease-namespace", metavar="NAME", help="Namespace of the Lease. Default: POD_NAMESPACE.")
@click.option(
    "--lease-name", metavar="NAME", default="outbox-relay-operator", show_default=True, help="Name of the Lease."
)
@click.option(
    "--identity", metavar="NAME", help="Who holds the Lease. Default: POD_NAME, or else host name and process id."
)
@click.option(
    "--port", type=Number(1, 65535), default=8080, show_default=True, help="Port of /livez, /readyz, /metrics."
)
@click.option(
    "--status-interval-seconds",
    type=Seconds(1, 3600),
    default=15,
    show_default=True,
    help="Numbers in status are written at most that often.",
)
@click.option(
    "--probe-interval-seconds",
    type=Seconds(1, 600),
    default=5,
    show_default=True,
    help="Databases, brokers and relay pods are asked that often.",
)
@click.option(
    "--webhook-url",
    "webhook_urls",
    multiple=True,
    metavar="URL",
    envvar="OUTBOXRELAY_CONTROLLER_WEBHOOK_URL",
    help="Where incidents are told as CloudEvents; repeatable, or joined by commas. Give it as the variable where it "
    "holds credentials.",
)
@click.option(
    "--alertmanager-url",
    "alertmanager_urls",
    multiple=True,
    metavar="URL",
    envvar="OUTBOXRELAY_CONTROLLER_ALERTMANAGER_URL",
    help="Alertmanagers that get incidents as alerts, every one of a cluster; without /api/v2/alerts.",
)
@click.option(
    "--notify-severity",
    type=click.Choice([str(item) for item in Severity]),
    default=str(Severity.WARNING),
    show_default=True,
    help="Least severity that is told there.",
)
@click.option(
    "--runbook-url",
    metavar="URL",
    default=RUNBOOKS,
    show_default=True,
    help="Where the pages of docs/incidents are served, for links in status and notifications; {page} in it stands for "
    "the type, and without that /TYPE.md is added.",
)
@click.option(
    "--critical-priority-class",
    metavar="NAME",
    default="",
    help="PriorityClass of the pods of critical relays; it must exist. Default: none.",
)
@click.option(
    "--rollouts-at-once",
    type=Number(1, 1000),
    default=5,
    show_default=True,
    help="A new version of the operator replaces the pods of so many relays at a time.",
)
@click.option(
    "--rollout-watch-seconds",
    type=Seconds(0, 3600),
    default=30,
    show_default=True,
    help="Each is watched for so long after that, before another one follows.",
)
@click.option(
    "--console-port",
    type=Number(1, 65535),
    help="Show the fleet as read-only pages on this port of 127.0.0.1, for kubectl port-forward. Default: not at all.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="Least level to log.")
def controller(
    relay_image: str,
    namespaces: tuple[str, ...],
    lease_namespace: str | None,
    lease_name: str,
    identity: str | None,
    port: int,
    status_interval_seconds: float,
    probe_interval_seconds: float,
    webhook_urls: tuple[str, ...],
    alertmanager_urls: tuple[str, ...],
    notify_severity: str,
    runbook_url: str,
    critical_priority_class: str,
    rollouts_at_once: int,
    rollout_watch_seconds: float,
    console_port: int | None,
    log_level: str,
) -> int:
    """Look after OutboxRelays: make their pods, watch over them, and say how they are."""
    settings = ControllerSettings(
        relay_image=relay_image,
        namespaces=split_namespaces(namespaces),
        lease_namespace=lease_namespace or _required("POD_NAMESPACE"),
        lease_name=lease_name,
        identity=identity or os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        port=port,
        status_interval=status_interval_seconds,
        probe_interval=probe_interval_seconds,
        log_level=log_level,
        webhook_urls=split_urls("--webhook-url", webhook_urls),
        alertmanager_urls=split_urls("--alertmanager-url", alertmanager_urls),
        notify_severity=notify_severity,
        runbook_url=runbook_url.strip() or RUNBOOKS,
        critical_priority_class=critical_priority_class.strip(),
        rollouts_at_once=rollouts_at_once,
        rollout_watch=rollout_watch_seconds,
        console_port=console_port,
    )
    if console_port == port:
        raise InvalidInput(f"--console-port: {port} is that of --port; give another one")
    configure_logging(settings.log_level)
    # What it imports takes memory and time that the other commands need not spend.
    from outboxrelay.controller.app import run_controller

    return asyncio.run(run_controller(settings))


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise InvalidInput(f"--lease-namespace: missing; give it, or set {variable} as the chart does")
    return value


def split_namespaces(values: Iterable[str]) -> tuple[str, ...]:
    """Names from repeated or comma-separated values, each once."""
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in names:
        if not NAMESPACE.fullmatch(name):
            raise InvalidInput(
                f"--namespace: {name!r} is not the name of a namespace: lower case, digits and '-', 63 at most"
            )
    return tuple(dict.fromkeys(names))


def split_urls(flag: str, values: Iterable[str]) -> tuple[str, ...]:
    """URLs from repeated or comma-separated values, each once. What is wrong is told without the URL's text."""
    urls = [url.strip() for value in values for url in re.split(r"[,\s]+", value) if url.strip()]
    for number, url in enumerate(urls, start=1):
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable or not url.isascii():
            raise InvalidInput(f"{flag}: URL {number} of {len(urls)} is none; it must be like https://host:port/path")
    return tuple(dict.fromkeys(urls))
