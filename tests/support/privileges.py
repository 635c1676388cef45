"""Requests to the Kubernetes API as the chart's service account: what it needs, and what it must be refused.

Needs nothing but the standard library, as it is also run inside the operator's own pod, with the token that is there.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import NamedTuple


class Request(NamedTuple):
    """One request. ``path`` may hold {shop} (a namespace that is served), {other} (one that is not) and {own}."""

    method: str
    path: str
    body: str = "{}"


CORE, APPS, RBAC = "/api/v1", "/apis/apps/v1", "/apis/rbac.authorization.k8s.io/v1"
RELAYS = "/apis/outboxrelay.dev/v1alpha1"
LEASES = "/apis/coordination.k8s.io/v1"

ALLOWED = (
    Request("GET", f"{RELAYS}/namespaces/{{shop}}/outboxrelays"),
    Request("GET", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders"),
    Request("PATCH", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders/status"),
    Request("GET", f"{CORE}/namespaces/{{shop}}/secrets/orders-db"),
    Request("GET", f"{CORE}/namespaces/{{shop}}/pods"),
    Request("GET", f"{APPS}/namespaces/{{shop}}/deployments"),
)
"""So that what is refused is not refused because everything is."""

REFUSED = (
    # the spec, and the object itself
    Request("PATCH", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders", '{"spec": {"state": "Stopped"}}'),
    Request("PUT", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders"),
    Request("PATCH", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders/scale", '{"spec": {"replicas": 3}}'),
    Request("POST", f"{RELAYS}/namespaces/{{shop}}/outboxrelays"),
    Request("DELETE", f"{RELAYS}/namespaces/{{shop}}/outboxrelays/orders"),
    # Secrets: one by one and by name only
    Request("GET", f"{CORE}/namespaces/{{shop}}/secrets"),
    Request("GET", f"{CORE}/namespaces/{{shop}}/secrets?watch=true"),
    Request("GET", f"{CORE}/secrets"),
    Request("POST", f"{CORE}/namespaces/{{shop}}/secrets"),
    Request("PATCH", f"{CORE}/namespaces/{{shop}}/secrets/orders-db"),
    Request("DELETE", f"{CORE}/namespaces/{{shop}}/secrets/orders-db"),
    # into pods, and other ways to run something
    Request("POST", f"{CORE}/namespaces/{{shop}}/pods/any/exec?command=id&stdout=true"),
    Request("POST", f"{CORE}/namespaces/{{shop}}/pods/any/attach"),
    Request("POST", f"{CORE}/namespaces/{{shop}}/pods/any/portforward"),
    Request("PATCH", f"{CORE}/namespaces/{{shop}}/pods/any/ephemeralcontainers"),
    Request("GET", f"{CORE}/namespaces/{{shop}}/pods/any/log"),
    Request("POST", f"{CORE}/namespaces/{{shop}}/pods"),
    Request("DELETE", f"{CORE}/namespaces/{{shop}}/pods/any"),
    Request("POST", f"{APPS}/namespaces/{{shop}}/daemonsets"),
    Request("POST", "/apis/batch/v1/namespaces/{shop}/jobs"),
    # more rights, for itself or in another's name
    Request("POST", f"{RBAC}/namespaces/{{shop}}/roles"),
    Request("POST", f"{RBAC}/namespaces/{{shop}}/rolebindings"),
    Request("POST", f"{RBAC}/clusterroles"),
    Request("POST", f"{RBAC}/clusterrolebindings"),
    Request("POST", f"{CORE}/namespaces/{{shop}}/serviceaccounts/default/token"),
    # what is not its own
    Request("DELETE", f"{APPS}/namespaces/{{shop}}/deployments/any"),
    Request("DELETE", f"{CORE}/namespaces/{{shop}}/configmaps/any"),
    Request("DELETE", f"{CORE}/namespaces/{{shop}}/serviceaccounts/any"),
    Request("GET", f"{CORE}/namespaces/{{shop}}/configmaps"),
    Request("GET", f"{CORE}/namespaces"),
    Request("GET", f"{CORE}/nodes"),
    Request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    Request("DELETE", f"{LEASES}/namespaces/{{own}}/leases/any"),
    Request("PUT", f"{LEASES}/namespaces/{{own}}/leases/another"),
    Request("POST", f"{LEASES}/namespaces/{{shop}}/leases"),
)

REFUSED_WHERE_NOT_SERVED = (
    Request("GET", f"{CORE}/namespaces/{{other}}/secrets/orders-db"),
    Request("GET", f"{RELAYS}/namespaces/{{other}}/outboxrelays"),
    Request("GET", f"{RELAYS}/outboxrelays"),
    Request("PATCH", f"{RELAYS}/namespaces/{{other}}/outboxrelays/orders/status"),
    Request("GET", f"{APPS}/namespaces/{{other}}/deployments"),
    Request("GET", f"{CORE}/namespaces/{{other}}/pods"),
    Request("PATCH", f"{APPS}/namespaces/{{other}}/deployments/any"),
    Request("POST", f"{CORE}/namespaces/{{other}}/events"),
    Request("GET", f"{CORE}/namespaces/{{own}}/secrets/orders-db"),
)
"""With watchNamespaces only; one that serves all has the same rights everywhere."""


def asked(requests: Iterable[Request], **names: str) -> list[Request]:
    """The requests with the namespaces filled in."""
    return [request._replace(path=request.path.format(**names)) for request in requests]


def rules_review(namespace: str) -> dict[str, object]:
    """The question what one may do in a namespace."""
    spec = {"namespace": namespace}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": spec}


def ask(server: str, authority: str, token: str, requests: Iterable[Request]) -> dict[str, int]:
    """The status of each request, by "METHOD path"; 403 is what the API server answers to who may not."""
    secure = ssl.create_default_context(cafile=authority)
    found: dict[str, int] = {}
    for request in requests:
        kind = "application/merge-patch+json" if request.method == "PATCH" else "application/json"
        wanted = urllib.request.Request(
            server + request.path,
            method=request.method,
            data=None if request.method in ("GET", "DELETE") else request.body.encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(wanted, context=secure, timeout=20) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        found[f"{request.method} {request.path}"] = status
    return found


if __name__ == "__main__":
    # Inside a pod, with the token of the pod itself.
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    with open(f"{folder}/token") as file:
        own = file.read()
    address = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    print(json.dumps(ask(address, f"{folder}/ca.crt", own, [Request(*item) for item in json.loads(sys.argv[1])])))
