"""The HTTP servers of both processes: a few GET paths, or a site, answered from memory, bounded in every way."""

import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

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
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[], Reply]


class Answered(Protocol):
    """What a site answers: a Reply, or what looks like one."""

    @property
    def body(self) -> str | bytes:
        """Text in UTF-8, or bytes."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def content_type(self) -> str:
        """With its character set."""

    @property
    def headers(self) -> Mapping[str, str]:
        """All but the content type."""


Answerer = Callable[[str, str, Mapping[str, str], str], Answered]
"""From method, decoded path, query (the first value of each name) and Host header; empty where there is none."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def serve(routes: Mapping[str, Route], port: int, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Answer ``routes`` on ``port`` while the block runs; 0 takes a free port. Yields the port in use.

    Routes are called on the event loop: they must answer from memory at once.
    """
    found = [web.get(path, _route(route)) for path, route in routes.items()]
    async with _listening(found, host, port, "--port") as taken:
        yield taken


@asynccontextmanager
async def serve_site(answerer: Answerer, port: int, flag: str, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Let ``answerer`` answer every method and path, in the same way; ``flag`` is what chooses another port."""
    async with _listening([web.route("*", "/{path:.*}", _site(answerer))], host, port, flag) as taken:
        yield taken


@asynccontextmanager
async def _listening(routes: Sequence[web.RouteDef], host: str, port: int, flag: str) -> AsyncIterator[int]:
    # Bodies are never read: aiohttp's limits on the request line and headers bound what a client can send.
    application = web.Application(client_max_size=1024)
    application.add_routes(routes)
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
            hint = f"give another {flag}, or end what listens there" if error.errno == errno.EADDRINUSE else ""
            message = f"cannot listen on {host}:{port}: {said}; {hint or f'check --host and {flag}'}"
            raise CannotRun(message) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _route(route: Route) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return _response(route())

    return answer


def _site(answerer: Answerer) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        query = {name: request.query[name] for name in request.query}
        return _response(answerer(request.method, request.path, query, request.headers.get("Host", "")))

    return answer


def _response(reply: Answered) -> web.Response:
    body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    return web.Response(body=body, status=reply.status, headers={**reply.headers, "Content-Type": reply.content_type})
