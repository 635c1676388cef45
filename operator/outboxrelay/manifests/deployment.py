"""The Deployment of a relay. A new pod is ready before an old one ends, so that a bad change stops nothing."""

from collections.abc import Mapping
from typing import Any

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.decisions.rollouts import Template
from outboxrelay.manifests.kinds import DEPLOYMENT
from outboxrelay.manifests.metadata import child, selector


def deployment(manifest: RelayManifest, template: Mapping[str, Any], made: Template, replicas: int) -> dict[str, Any]:
    """The Deployment with ``replicas`` pods like ``template``, which is ``made`` from what it says."""
    head = child(DEPLOYMENT, manifest.identity)
    return {
        **head,
        "metadata": {**head["metadata"], "annotations": annotations(made)},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 120,
            "selector": {"matchLabels": selector(manifest.identity.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": dict(template),
        },
    }


def annotations(made: Template) -> dict[str, str]:
    """What the Deployment carries so that whoever leads next knows what its pods are made from."""
    known = {
        names.ANNOTATION_TEMPLATE_HASH: made.digest,
        names.ANNOTATION_TEMPLATE_GENERATION: str(made.generation),
        names.ANNOTATION_CREDENTIALS_HASH: made.credentials,
        names.ANNOTATION_UPGRADED_AT: made.upgraded_at,
    }
    return {name: value for name, value in known.items() if value}


def asked_replicas(manifest: RelayManifest) -> int | None:
    """Pods that the spec asks for; None where the operator decides."""
    return manifest.spec.asked_pods


def first_replicas(manifest: RelayManifest) -> int:
    """Pods of a relay that has none yet, where the operator decides."""
    return max(1, manifest.spec.fewest_pods)
