"""An API server of one answer per path over real HTTP, and a kubeconfig that names it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web


class FakeApiServer:
    """Answers GET with ``objects`` by path, everything else with NotFound as an API server says it."""

    def __init__(self, objects: Mapping[str, Any], port: int) -> None:
        self.objects = objects
        self.port = port

    def kubeconfig(self, path: Path, *, namespace: str | None = "shop", token: str = "t") -> Path:
        """Write one with the contexts `here` (current) and `nowhere`."""
        context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [
                        {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}},
                        {"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}},
                    ],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [
                        {"name": "here", "context": context},
                        {"name": "nowhere", "context": {"cluster": "gone", "user": "u"}},
                    ],
                }
            )
        )
        return path


@asynccontextmanager
async def api_server(objects: Mapping[str, Any]) -> AsyncIterator[FakeApiServer]:
    """One that runs."""

    async def answer(request: web.Request) -> web.Response:
        found = objects.get(request.path)
        if found is None:
            return web.json_response({"kind": "Status", "reason": "NotFound", "message": "not found"}, status=404)
        if isinstance(found, int):
            return web.json_response({"kind": "Status", "reason": "Forbidden", "message": "may not"}, status=found)
        return web.json_response(found)

    application = web.Application()
    application.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield FakeApiServer(objects, runner.addresses[0][1])
    finally:
        await runner.cleanup()
