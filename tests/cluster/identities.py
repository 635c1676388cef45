"""Who talks to the API server: one token and one kubeconfig each, made anew with every cluster."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import paths

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = paths.PKI / "tokens.csv"


@dataclass(frozen=True)
class Identity:
    """A user of the API, by the names that Kubernetes' own roles are bound to."""

    name: str
    user: str
    group: str = ""


IDENTITIES = (
    Identity("admin", "outboxrelay-admin", "system:masters"),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("proxy", "system:kube-proxy"),
    Identity("kubelet", f"system:node:{paths.NODE_NAME}", "system:nodes"),
)


def ensure() -> None:
    """Make the tokens and the kubeconfigs, once."""
    if not TOKENS.exists():
        lines = [f'{secrets.token_hex(24)},{each.user},{each.name},"{each.group}"' for each in IDENTITIES]
        paths.write(TOKENS, "\n".join(lines) + "\n", 0o600)
    for each in IDENTITIES:
        paths.write(kubeconfig(each.name), _kubeconfig(each.user, token(each.name)), 0o600)


def kubeconfig(name: str) -> Path:
    """The kubeconfig of one."""
    return paths.KUBECONFIGS / name


def token(name: str) -> str:
    """The token of one."""
    rows = (line.split(",") for line in TOKENS.read_text().splitlines())
    return next(row[0] for row in rows if row[2] == name)


def _kubeconfig(user: str, bearer: str) -> str:
    authority = base64.b64encode(paths.CA_FILE.read_bytes()).decode()
    cluster = {"server": f"https://{paths.NODE_IP}:6443", "certificate-authority-data": authority}
    context = {"cluster": paths.CONTEXT, "user": user, "namespace": "default"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": paths.CONTEXT, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": bearer}}],
            "contexts": [{"name": paths.CONTEXT, "context": context}],
            "current-context": paths.CONTEXT,
        },
        indent=1,
    )
