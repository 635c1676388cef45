"""A proxy before the API server, for the operator alone: it counts what the operator asks for, and cuts its watch.

It ends TLS with a certificate of the cluster's own authority, so that the operator takes it for the API server; who
asks is still decided there, by the token that is passed on.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

from outboxrelay.api.names import PLURAL
from tests.cluster import api, certificates, paths

PASSED_ON = ("Authorization", "Accept", "Content-Type", "User-Agent")
MOST_BYTES = 16 * 2**20


class ApiProxy:
    """Passes requests on."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.port = 0
        self.writes: Counter[tuple[str, str]] = Counter()
        """Writes so far, by METHOD resource[/subresource] and by path."""
        self.blind: set[str] = set()
        """Addresses whose watch of OutboxRelays stays open and says nothing, as behind a firewall that forgot it."""

    def environment(self) -> Mapping[str, str]:
        """What makes a pod take it for the API server."""
        return {"KUBERNETES_SERVICE_HOST": paths.NODE_IP, "KUBERNETES_SERVICE_PORT": str(self.port)}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        if request.method not in ("GET", "HEAD"):
            self.writes[f"{request.method} {resource_of(request.path)}", request.path] += 1
        url = URL(f"https://{paths.NODE_IP}:{api.PORT}{request.raw_path}", encoded=True)
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        body = await request.read()
        async with self._session.request(request.method, url, headers=headers, data=body or None) as found:
            answer = web.StreamResponse(status=found.status, headers={"Content-Type": found.headers["Content-Type"]})
            await answer.prepare(request)
            async for part in found.content.iter_any():
                if self._is_cut(request):
                    await asyncio.Event().wait()
                await answer.write(part)
            await answer.write_eof()
        return answer

    def _is_cut(self, request: web.Request) -> bool:
        watches = request.query.get("watch") in ("true", "1") and resource_of(request.path) == PLURAL
        return watches and request.remote in self.blind


def resource_of(path: str) -> str:
    """The resource that a path names, and its subresource."""
    parts = path.strip("/").split("/")
    rest = parts[3:] if parts[0] == "apis" else parts[2:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return "/".join([*rest[:1], *rest[2:]])


@asynccontextmanager
async def api_proxy() -> AsyncIterator[ApiProxy]:
    """One on a free port of the node's address."""
    trusted = ssl.create_default_context(cafile=str(paths.CA_FILE))
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(*certificates.ensure("api-proxy", paths.NODE_IP))
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        proxy = ApiProxy(session)
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_route("*", "/{tail:.*}", proxy.answer)
        # Who goes away ends the request that is passed on for it.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, paths.NODE_IP, 0, ssl_context=own).start()
            proxy.port = runner.addresses[0][1]
            yield proxy
        finally:
            await runner.cleanup()
