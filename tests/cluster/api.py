"""A few reads of the Kubernetes API, without a client: enough to know whether the cluster is ready."""

from __future__ import annotations

import http.client
import json
import ssl
from datetime import datetime
from typing import Any

from . import identities, netns, paths

PORT = 6443


def get(path: str) -> tuple[int, bytes]:
    """Status and body; status 0 when nobody answers."""
    try:
        secure = ssl.create_default_context(cafile=str(paths.CA_FILE))
        link = http.client.HTTPSConnection(paths.NODE_IP, PORT, context=secure, timeout=5)
        link.sock = secure.wrap_socket(netns.connect(paths.NODE_IP, PORT, timeout=5), server_hostname=paths.NODE_IP)
        try:
            link.request("GET", path, headers={"Authorization": f"Bearer {identities.token('admin')}"})
            reply = link.getresponse()
            return reply.status, reply.read()
        finally:
            link.close()
    except (OSError, http.client.HTTPException):
        return 0, b""


def is_ready() -> bool:
    """Whether the server says that it is ready."""
    return get("/readyz")[0] == 200


def node_is_ready(since: float) -> bool:
    """Whether the node said after that moment that it takes pods, and a pod would find its service account.

    What a kubelet said that is dead by now still stands in the API.
    """
    status, body = get(f"/api/v1/nodes/{paths.NODE_NAME}")
    if status != 200:
        return False
    node: dict[str, Any] = json.loads(body)
    ready = any(
        each["type"] == "Ready" and each["status"] == "True" and _moment(each["lastHeartbeatTime"]) >= since
        for each in node["status"].get("conditions", [])
    )
    tainted = any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints", []))
    account = get("/api/v1/namespaces/default/serviceaccounts/default")[0] == 200
    return ready and not tainted and account


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
