"""An API server of mappings: enough of get, list, apply, patch and create for the controller.

It counts what it is asked for, and refuses what a test tells it to refuse.
"""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import ResourceKind

Object = dict[str, Any]
Place = tuple[str, str, str]


class FakeKube:
    """Satisfies the controller's ports for objects."""

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.refuse: Callable[[str, str], ClusterFault | None] = lambda _verb, _kind: None
        self._versions = itertools.count(1)

    def put(self, kind: ResourceKind, body: Object) -> Object:
        """An object that somebody else wrote."""
        metadata = body["metadata"]
        place = kind.kind, metadata["namespace"], metadata["name"]
        old = self.objects.get(place)
        stored = copy.deepcopy(body)
        stored["metadata"].setdefault("uid", old["metadata"]["uid"] if old else f"uid-{next(self._versions)}")
        generation = old["metadata"].get("generation", 1) if old else 1
        if old and old.get("spec") != stored.get("spec"):
            generation += 1
        if "spec" in stored:
            stored["metadata"]["generation"] = generation
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[place] = stored
        return copy.deepcopy(stored)

    def remove(self, kind: ResourceKind, namespace: str, name: str) -> None:
        """Somebody deletes an object."""
        del self.objects[kind.kind, namespace, name]

    def writes(self) -> list[tuple[str, str, str]]:
        """Calls that write."""
        return [call for call in self.calls if call[0] not in ("get", "list")]

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        """The object or None."""
        self._call("get", kind, name)
        return copy.deepcopy(self.objects.get((kind.kind, namespace, name)))

    async def list(
        self, kind: ResourceKind, namespace: str | None, *, selector: str = "", metadata_only: bool = False
    ) -> tuple[list[Object], str]:
        """Objects that have the label ``selector``."""
        self._call("list", kind, namespace or "")
        found = [
            copy.deepcopy(body)
            for (name, where, _), body in sorted(self.objects.items())
            if name == kind.kind
            and namespace in (None, where)
            and (not selector or selector in (body["metadata"].get("labels") or {}))
        ]
        return found, str(next(self._versions))

    async def apply(self, kind: ResourceKind, body: Object) -> Object:
        """Server-side apply: our fields over what is there; nothing changes where they are there already."""
        self._call("apply", kind, body["metadata"]["name"])
        metadata = body["metadata"]
        old = self.objects.get((kind.kind, metadata["namespace"], metadata["name"]))
        if old is None:
            return self.put(kind, body)
        new = merged(old, body)
        return copy.deepcopy(old) if new == old else self.put(kind, new)

    async def patch(
        self, kind: ResourceKind, namespace: str, name: str, body: Object, subresource: str | None = None
    ) -> Object:
        """Merge patch."""
        self._call("patch", kind, name)
        old = self.objects.get((kind.kind, namespace, name))
        if old is None:
            raise ClusterFault(404, "NotFound", f"{kind.plural} {name} not found")
        if body.get("metadata", {}).get("uid") not in (None, old["metadata"].get("uid")):
            raise ClusterFault(409, "Conflict", "the uid is another one's")
        if subresource != "status":
            return self.put(kind, merged(old, body))
        new = merged(old, {"status": body["status"]})
        self.objects[kind.kind, namespace, name] = new
        return copy.deepcopy(new)

    async def delete(self, kind: ResourceKind, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid."""
        self._call("delete", kind, name)
        found = self.objects.get((kind.kind, namespace, name))
        if found is not None and found["metadata"]["uid"] == uid:
            del self.objects[kind.kind, namespace, name]

    async def create(self, kind: ResourceKind, body: Object) -> Object:
        """A new object."""
        metadata = body["metadata"]
        self._call("create", kind, metadata["name"])
        if (kind.kind, metadata["namespace"], metadata["name"]) in self.objects:
            raise ClusterFault(409, "AlreadyExists", f"{metadata['name']} exists")
        return self.put(kind, body)

    def _call(self, verb: str, kind: ResourceKind, name: str) -> None:
        self.calls.append((verb, kind.kind, name))
        if (fault := self.refuse(verb, kind.kind)) is not None:
            raise fault


class FakeWatch:
    """A watch whose events a test sends."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, str, Object] | ClusterFault | None] = asyncio.Queue()
        """None ends the watch as the server does after its time."""
        self.versions: list[str] = []
        """Where watches of Deployments began."""

    async def watch(
        self, kind: ResourceKind, namespace: str | None, *, selector: str, version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events of the kind Deployment; other kinds stay silent."""
        if kind.kind != "Deployment":
            await asyncio.Event().wait()
        self.versions.append(version)
        while (event := await self.events.get()) is not None:
            if isinstance(event, ClusterFault):
                raise event
            yield event[1], event[2]


def merged(old: Object, changes: Object) -> Object:
    """``old`` with ``changes`` over it; None removes."""
    result = copy.deepcopy(old)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result
