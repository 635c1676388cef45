"""Receivers of notifications: an HTTP server that behaves as a test wants, and the real Alertmanager."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.debian_server import program, running

ALERTMANAGER = "prometheus-alertmanager"
CONFIG = """
route: {receiver: test, group_by: [incident], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: test
  webhook_configs: [{url: "%s", send_resolved: true}]
"""


class Receiver:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.status = 200
        self.delay = 0.0
        self.requests = 0
        self.taken: list[tuple[dict[str, str], Any]] = []
        """Headers and JSON of requests that were answered with success."""
        self.times: list[float] = []
        """When each of them came, in monotonic seconds."""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Take one request."""
        self.requests += 1
        came = time.monotonic()
        body = json.loads(await request.text())
        await asyncio.sleep(self.delay)
        if self.status < 300:
            self.times.append(came)
            self.taken.append(({key.lower(): value for key, value in request.headers.items()}, body))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"} if self.status == 302 else {})


@asynccontextmanager
async def receiver(path: str = "/hook", host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver on a free port of ``host``."""
    found = Receiver()
    application = web.Application()
    application.router.add_post(path, found.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        found.url = f"http://{host}:{runner.addresses[0][1]}{path}"
        yield found
    finally:
        await runner.cleanup()


class Alertmanager:
    """A running Alertmanager."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def alerts(self) -> list[dict[str, Any]]:
        """What it holds as firing."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/alerts") as response:
            found: list[dict[str, Any]] = await response.json()
            return found


@asynccontextmanager
async def alertmanager(folder: Path, port: int, tells: str) -> AsyncIterator[Alertmanager]:
    """The real one, which passes what it gets on to the URL ``tells``."""
    config = folder / "alertmanager.yaml"
    config.write_text(CONFIG % tells)
    command = [program(ALERTMANAGER, ALERTMANAGER), f"--config.file={config}", f"--storage.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    found = Alertmanager(f"http://127.0.0.1:{port}")
    async with running(command, folder / "alertmanager.log", found.url):
        yield found
