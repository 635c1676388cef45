"""Asking a relay pod for its report, at the pod's own address."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from pydantic import ValidationError

from outboxrelay.api.names import RELAY_PORT
from outboxrelay.api.report import RelayReport

MAX_BYTES = 1024 * 1024


class ReportClient:
    """GET /state of relay pods."""

    def __init__(self, session: aiohttp.ClientSession, port: int = RELAY_PORT) -> None:
        self._session = session
        self._port = port

    async def fetch(self, address: str, seconds: float) -> RelayReport | None:
        """The report; None where none that can be read came in time."""
        host = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
        try:
            async with asyncio.timeout(seconds), self._session.get(f"http://{host}:{self._port}/state") as response:
                if response.status != 200:
                    return None
                text = await response.content.read(MAX_BYTES + 1)
                while len(text) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES)):
                    text += more
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        return _parsed(text)


def _parsed(text: bytes) -> RelayReport | None:
    if len(text) > MAX_BYTES:
        return None
    try:
        return RelayReport.model_validate_json(text)
    except ValidationError:
        return None


@asynccontextmanager
async def open_reports() -> AsyncIterator[ReportClient]:
    """A client that keeps connections to pods open between two questions."""
    connector = aiohttp.TCPConnector(limit=200, limit_per_host=2, keepalive_timeout=15)
    # The way to a pod never leads through a proxy.
    # Each question has a timeout of its own, and pods set no cookies.
    session = aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    async with session:
        yield ReportClient(session)
