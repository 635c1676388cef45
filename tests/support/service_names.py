"""Names of Services in the local cluster, which has no name service of Kubernetes: a test publishes those it needs."""

import json

from tests.cluster import paths
from tests.support.helm import kubectl


def publish(namespace: str, service: str) -> None:
    """Let ``service.namespace.svc`` lead to the pods that are ready now."""
    label = f"kubernetes.io/service-name={service}"
    done = kubectl("-n", namespace, "get", "endpointslices", "-l", label, "-o", "json")
    assert done.returncode == 0, done.stderr
    endpoints = [item for found in json.loads(done.stdout)["items"] for item in found["endpoints"] or []]
    addresses = [item["addresses"][0] for item in endpoints if item["conditions"]["ready"]]
    lines = [f"{address} {service}.{namespace}.svc\n" for address in addresses]
    (paths.HOSTS / f"{namespace}.{service}").write_text("".join(lines))
