"""The HTTP server of both processes: a few GET paths, answered from memory, bounded in every way."""

import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from outboxrelay.errors import CannotRun

CLOSE_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a path answers."""

    body: str | bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Route = Callable[[], Reply]


@asynccontextmanager
async def serve(routes: Mapping[str, Route], port: int, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Answer ``routes`` on ``port`` while the block runs; 0 takes a free port. Yields the port in use.

    Routes are called on the event loop: they must answer from memory at once.
    """
    # Bodies are never read: aiohttp's limits on the request line and headers bound what a client can send.
    application = web.Application(client_max_size=1024)
    for path, route in routes.items():
        application.router.add_get(path, _handler(route))
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=CLOSE_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=64).start()
        except OSError as error:
            said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            hint = "give another --port, or end what listens there" if error.errno == errno.EADDRINUSE else ""
            message = f"cannot listen on {host}:{port}: {said}; {hint or 'check --host and --port'}"
            raise CannotRun(message) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _handler(route: Route) -> Callable[[web.Request], Any]:
    async def answer(_request: web.Request) -> web.Response:
        reply = route()
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        return web.Response(body=body, status=reply.status, headers={"Content-Type": reply.content_type})

    return answer
