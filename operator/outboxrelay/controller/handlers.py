"""kopf, and nothing but kopf: it delivers OutboxRelay events. The only module that imports it.

It runs in a thread with an event loop of its own: at its end kopf cancels every task of its loop that is younger than
itself, and in the main thread it takes the signal handlers over. With low-level handlers only, it adds no finalizer
and no annotation; with scanning off, it asks for nothing but OutboxRelays.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import kopf

from outboxrelay.api.names import GROUP, PLURAL, VERSION

Deliver = Callable[[str | None, Mapping[str, Any]], None]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
STOP_SECONDS = 5.0
RETRIES = (1, 1, 2, 3, *([5] * 10_000))
"""Seconds between attempts while the API server answers 5xx: days of it, never more than 5 s to come back."""


class NoHistory(kopf.DiffBaseStorage):
    """kopf compares each object with what it last handled, whether or not a handler asks for that; none here does.

    Without this it copies each body anew for each event, and each status that is written comes back as one.
    """

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        """Nothing of a body is compared."""
        return {}

    def fetch(self, *, body: Any) -> Any:
        """Nothing was handled before."""
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Nothing is written into objects."""


class WatchEnded(RuntimeError):
    """kopf stopped delivering events."""


async def watch_relays(namespaces: Sequence[str], deliver: Deliver) -> None:
    """Call ``deliver`` on this event loop for each event of the ``namespaces`` (none = all), until cancelled.

    Raises WatchEnded when kopf ends by itself.
    """
    loop = asyncio.get_running_loop()
    stop, ended = threading.Event(), asyncio.Event()
    failure: list[BaseException] = []

    def handed_over(event: str | None, body: Mapping[str, Any]) -> None:
        loop.call_soon_threadsafe(deliver, event, body)

    def body() -> None:
        try:
            asyncio.run(_operate(namespaces, handed_over, stop))
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

    # kopf says at each start that a thread gets no signals: as intended here.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # One line for each event that it hands over would be most of the log.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    thread = threading.Thread(target=body, name="kopf", daemon=True)
    thread.start()
    try:
        await ended.wait()
        raise WatchEnded("the watch of OutboxRelays has ended") from (failure[0] if failure else None)
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, STOP_SECONDS)


async def _operate(namespaces: Sequence[str], deliver: Deliver, stop: threading.Event) -> None:
    try:
        await kopf.operator(
            registry=_registry(deliver),
            settings=_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            stop_flag=stop,
        )
    finally:
        # A thread of this loop waits for the flag; without it the loop could not end.
        stop.set()


def _registry(deliver: Deliver) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
        by_file = kopf.login_with_kubeconfig(settings=settings) if os.environ.get("KUBECONFIG") else None
        return by_file or service_account() or kopf.login_with_kubeconfig(settings=settings)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        deliver(event["type"], event["object"])

    return registry


def service_account(
    folder: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ
) -> kopf.ConnectionInfo | None:
    """The pod's own identity, with the token as it is now.

    kopf's own login asks for kubernetes.default.svc, and so for a DNS server; the address is in the environment.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    token = folder / "token"
    if not host or not token.exists():
        return None
    name = f"[{host}]" if ":" in host else host
    return kopf.ConnectionInfo(
        server=f"https://{name}:{port}", ca_path=str(folder / "ca.crt"), token=token.read_text().strip()
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoHistory()
    settings.scanning.disabled = True
    settings.watching.server_timeout = 45
    settings.watching.client_timeout = 50
    settings.watching.connect_timeout = 5
    settings.networking.request_timeout = 10
    settings.networking.error_backoffs = RETRIES
    settings.process.ultimate_exiting_timeout = None
    return settings
