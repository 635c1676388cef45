"""A Kubernetes API over HTTP from FakeKube: what a controller process needs, where no real API server is at hand.

It lists, watches, gets, creates, replaces and patches; it validates nothing and runs no pods.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from outboxrelay.api.names import GROUP, KIND, PLURAL, VERSION
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests import kinds
from outboxrelay.manifests.kinds import ResourceKind
from tests.support.fake_kube import FakeKube, Object

KINDS = {kind.plural: kind for kind in vars(kinds).values() if isinstance(kind, ResourceKind)}
VERBS = ["get", "list", "watch", "create", "patch"]
DISCOVERY: dict[str, Object] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {
        "resources": [
            {
                "name": "namespaces",
                "singularName": "namespace",
                "kind": "Namespace",
                "namespaced": False,
                "verbs": VERBS,
            },
            {"name": "events", "singularName": "event", "kind": "Event", "namespaced": True, "verbs": VERBS},
        ]
    },
    "/apis": {
        "groups": [
            {"name": GROUP, "versions": [{"version": VERSION}], "preferredVersion": {"version": VERSION}},
        ]
    },
    f"/apis/{GROUP}/{VERSION}": {
        "resources": [
            {"name": PLURAL, "singularName": KIND.lower(), "kind": KIND, "namespaced": True, "verbs": VERBS},
        ]
    },
}


class ApiServer:
    """The server; ``kube`` holds its objects, and changes go through ``put`` and ``delete`` here."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self._watchers: list[tuple[str, asyncio.Queue[bytes]]] = []
        self._frozen: list[Object] | None = None

    def put(self, kind: ResourceKind, body: Object) -> None:
        """Somebody writes an object."""
        self._tell("ADDED", kind, self.kube.put(kind, body))

    def delete(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """Somebody deletes one."""
        body = self.kube.objects[kind.kind, namespace, name]
        self.kube.remove(kind, namespace, name)
        self._tell("DELETED", kind, body)

    def cut_the_watch(self) -> None:
        """From now on kopf sees no change of an OutboxRelay any more, neither by watching nor by listing anew."""
        self._frozen = [copy.deepcopy(body) for (kind, _, _), body in self.kube.objects.items() if kind == KIND]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        parts = request.path.strip("/").split("/")[2 if request.path.startswith("/api/") else 3 :]
        namespace = parts[1] if parts[0] == "namespaces" else None
        plural, *rest = parts[2:] if namespace else parts
        kind, name = KINDS[plural], rest[0] if rest else None
        try:
            if name is None and request.method == "GET":
                return await self._collection(request, kind, namespace)
            body = await self._one(request, kind, namespace or "", name, rest[1] if len(rest) > 1 else None)
        except ClusterFault as fault:
            refusal = {"kind": "Status", "reason": fault.reason, "message": fault.message}
            return web.json_response(refusal, status=fault.status)
        return web.json_response(body)

    async def _collection(self, request: web.Request, kind: ResourceKind, namespace: str | None) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            # Only the operator's own list asks page by page.
            if kind.kind == KIND and self._frozen is not None and "limit" not in request.query:
                return web.json_response({"items": self._frozen, "metadata": {"resourceVersion": "1"}})
            items, version = await self.kube.list(kind, namespace, selector=request.query.get("labelSelector", ""))
            return web.json_response({"items": items, "metadata": {"resourceVersion": version}})
        response = web.StreamResponse()
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        entry = (kind.kind, queue)
        self._watchers.append(entry)
        try:
            await response.prepare(request)
            while True:
                await response.write(await queue.get())
        except ConnectionResetError:
            return response
        finally:
            self._watchers.remove(entry)

    async def _one(
        self, request: web.Request, kind: ResourceKind, namespace: str, name: str | None, sub: str | None
    ) -> Object:
        if request.method == "GET":
            found = await self.kube.get(kind, namespace, name or "")
            if found is None:
                raise ClusterFault(404, "NotFound", f"{name} not found")
            return found
        body: Object = json.loads(await request.text())
        if request.method == "POST":
            written = await self.kube.create(kind, body)
        elif request.method == "PUT":
            written = self._replace(kind, namespace, name or "", body)
        elif "apply" in request.content_type:
            written = await self.kube.apply(kind, body)
        else:
            written = await self.kube.patch(kind, namespace, name or "", body, sub)
        self._tell("MODIFIED", kind, written)
        return written

    def _replace(self, kind: ResourceKind, namespace: str, name: str, body: Object) -> Object:
        old = self.kube.objects.get((kind.kind, namespace, name))
        if old is None or old["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            raise ClusterFault(409, "Conflict", "somebody wrote in between")
        return self.kube.put(kind, body)

    def _tell(self, event: str, kind: ResourceKind, body: Object) -> None:
        if kind.kind == KIND and self._frozen is not None:
            return
        line = json.dumps({"type": event, "object": body}).encode() + b"\n"
        for name, queue in self._watchers:
            if name == kind.kind:
                queue.put_nowait(line)


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiServer, Path]]:
    """A server on a free port, and a kubeconfig for it."""
    server = ApiServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = folder / "kubeconfig"
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "shop"}}],
    }
    path.write_text(yaml.safe_dump(config))
    try:
        yield server, path
    finally:
        await runner.cleanup()
