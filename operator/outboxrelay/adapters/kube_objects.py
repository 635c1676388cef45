"""Reading and writing objects of the Kubernetes API: the few verbs that the controller uses."""

from typing import Any

from outboxrelay.adapters.kube import JSON, KubeClient
from outboxrelay.api.names import MANAGER
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import ResourceKind

PAGE = 500
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
NOT_FOUND = 404
CONFLICT = 409


class KubeObjects:
    """Objects are mappings, as on the wire."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            return await self._client.request("GET", kind.path(namespace, name))
        except ClusterFault as fault:
            if fault.status == NOT_FOUND:
                return None
            raise

    async def list(
        self,
        kind: ResourceKind,
        namespace: str | None,
        *,
        selector: str = "",
        metadata_only: bool = False,
        cached: bool = False,
    ) -> tuple[list[dict[str, Any]], str]:
        """Every object, page by page, and the resourceVersion that a watch goes on from.

        ``cached``: what the API server holds in memory is new enough, so that its database is not asked.
        """
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            query = [("limit", str(PAGE))]
            query += [("labelSelector", selector)] if selector else []
            query += [("continue", token)] if token else []
            # A page that goes on from another must not name a version.
            query += [("resourceVersion", "0")] if cached and not token else []
            page = await self._client.request(
                "GET", kind.path(namespace), query=query, accept=METADATA_ONLY if metadata_only else JSON
            )
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                return items, metadata.get("resourceVersion") or ""

    async def apply(self, kind: ResourceKind, body: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply: every field in ``body`` is ours from now on; gives the object as it is then."""
        metadata = body["metadata"]
        return await self._client.request(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"]),
            query=[("fieldManager", MANAGER), ("force", "true"), ("fieldValidation", "Strict")],
            body=body,
            content_type=APPLY_PATCH,
        )

    async def patch(
        self, kind: ResourceKind, namespace: str, name: str, body: dict[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        """A merge patch."""
        return await self._client.request(
            "PATCH",
            kind.path(namespace, name, subresource),
            query=[("fieldManager", MANAGER)],
            body=body,
            content_type=MERGE_PATCH,
        )

    async def delete(self, kind: ResourceKind, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid; nothing happens where it is gone, or another one has its name."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self._client.request("DELETE", kind.path(namespace, name), body=options)
        except ClusterFault as fault:
            if fault.status not in (NOT_FOUND, CONFLICT):
                raise

    async def create(self, kind: ResourceKind, body: dict[str, Any]) -> dict[str, Any]:
        """A new object; refused where one of that name exists."""
        path = kind.path(body["metadata"]["namespace"])
        return await self._client.request("POST", path, query=[("fieldManager", MANAGER)], body=body)

    async def replace(self, kind: ResourceKind, body: dict[str, Any]) -> dict[str, Any]:
        """The object instead of the one with its resourceVersion; refused where somebody wrote in between."""
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._client.request("PUT", path, query=[("fieldManager", MANAGER)], body=body)
