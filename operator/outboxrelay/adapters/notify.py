"""Telling receivers outside the cluster about incidents, over HTTP: a webhook, and Alertmanager's v2 API.

URLs may carry credentials (in their user part, path or query): nothing but the host is ever logged or raised.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from yarl import URL

from outboxrelay.decisions.incidents.notices import Notice, alert, cloud_event
from outboxrelay.errors import NotificationFault

REQUEST_SECONDS = 3.0
REPEAT_SECONDS = 60.0
LASTS = timedelta(seconds=300)
"""An alert that is not sent again ends by itself after this: no operator is left that could end it."""
MOST_READ = 500
PASSING = frozenset({408, 425, 429})
"""Client errors that pass."""


class Webhook:
    """POSTs each change as a CloudEvent (structured JSON)."""

    kind = "webhook"
    repeat: float | None = None

    def __init__(self, session: aiohttp.ClientSession, url: str, operator: str) -> None:
        self._session = session
        self._url = URL(url)
        self._operator = operator
        self.place = _place(self._url)

    async def send(self, notices: Sequence[Notice]) -> None:
        """Tell each; raises NotificationFault."""
        for notice in notices:
            body = cloud_event(notice, self._operator)
            content_type = "application/cloudevents+json; charset=utf-8"
            await _post(self._session, self._url, body, content_type, self.place)


class Alertmanager:
    """POSTs alerts; what is open is sent again and again, as Prometheus does."""

    kind = "alertmanager"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        now: Callable[[], datetime],
        repeat: float | None = REPEAT_SECONDS,
    ) -> None:
        self._session = session
        base = URL(url)
        self._url = base.with_path(f"{base.path.rstrip('/')}/api/v2/alerts", encoded=False)
        self._now = now
        self.repeat = repeat
        self.place = _place(base)

    async def send(self, notices: Sequence[Notice]) -> None:
        """Tell of all in one request; raises NotificationFault."""
        now = self._now()
        body = [alert(notice, now, LASTS) for notice in notices]
        await _post(self._session, self._url, body, "application/json", self.place)


async def _post(session: aiohttp.ClientSession, url: URL, body: Any, content_type: str, place: str) -> None:
    try:
        async with (
            asyncio.timeout(REQUEST_SECONDS),
            # A redirect would take credentials somewhere else.
            session.post(url, json=body, headers={"Content-Type": content_type}, allow_redirects=False) as response,
        ):
            status = response.status
            await response.content.read(MOST_READ)
    except TimeoutError:
        raise NotificationFault(f"{place} did not answer within {REQUEST_SECONDS:.0f} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The text of an error may quote the URL.
        raise NotificationFault(f"{place} cannot be reached: {type(error).__name__}") from None
    if not 200 <= status < 300:
        permanent = 400 <= status < 500 and status not in PASSING
        raise NotificationFault(f"{place} answered HTTP status {status}", permanent=permanent)


def _place(url: URL) -> str:
    return f"{url.host}:{url.port}"


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for receivers; it honours the proxy that the environment names."""
    connector = aiohttp.TCPConnector(limit=20, limit_per_host=2)
    async with aiohttp.ClientSession(connector=connector, trust_env=True, auto_decompress=False) as session:
        yield session
