"""The Deployment of a relay. A new pod is ready before an old one ends, so that a bad change stops nothing."""

from typing import Any

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.manifests.kinds import DEPLOYMENT
from outboxrelay.manifests.metadata import child, selector
from outboxrelay.manifests.pod import pod_template


def deployment(manifest: RelayManifest, *, image: str, credentials: str, replicas: int) -> dict[str, Any]:
    """The Deployment with ``replicas`` pods; ``credentials`` is the hash of what the referenced Secrets hold."""
    return {
        **child(DEPLOYMENT, manifest.identity),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 120,
            "selector": {"matchLabels": selector(manifest.identity.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": pod_template(manifest, image, credentials),
        },
    }


def asked_replicas(manifest: RelayManifest) -> int | None:
    """Pods that the spec asks for; None where the operator decides."""
    return manifest.spec.asked_pods


def first_replicas(manifest: RelayManifest) -> int:
    """Pods of a relay that has none yet, where the operator decides."""
    return max(1, manifest.spec.fewest_pods)
