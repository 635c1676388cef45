"""One watch request with a server-side label selector: what changes, until the server or the clock ends it."""

import json
from collections.abc import AsyncIterator
from typing import Any

from outboxrelay.adapters.kube import KubeClient
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import ResourceKind

SERVER_SECONDS = 45
CLIENT_SECONDS = 50.0
MAX_LINE = 4 * 1024 * 1024
"""An object cannot be larger than about 1.5 MiB in etcd."""


class KubeWatch:
    """Watches objects."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def watch(
        self, kind: ResourceKind, namespace: str | None, *, selector: str, version: str
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """(type, object) for each change after ``version``; bookmarks too. Ends normally after about 45 s.

        Raises ClusterFault; status 410 says that ``version`` is too old and a new list is needed.
        """
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("labelSelector", selector),
            ("resourceVersion", version),
            ("timeoutSeconds", str(SERVER_SECONDS)),
        ]
        async with self._client.stream(kind.path(namespace), query=query, seconds=CLIENT_SECONDS) as response:
            buffer = b""
            async for chunk in response.content.iter_any():
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield _event(line)
                if len(buffer) > MAX_LINE:
                    raise ClusterFault(0, "TooLarge", f"an event of the watch is larger than {MAX_LINE} bytes")


def _event(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        event = json.loads(line)
        kind, body = str(event["type"]), event["object"]
    except (ValueError, KeyError, TypeError):
        raise ClusterFault(0, "NoJSON", "the Kubernetes API sent a watch event that cannot be read") from None
    if kind == "ERROR":
        raise ClusterFault(int(body.get("code") or 0), str(body.get("reason")), str(body.get("message")))
    return kind, body
