"""The pod template of a relay: no rights, no token, nothing writable but a small /tmp."""

from typing import Any

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.manifests.config import config_hash, config_text
from outboxrelay.manifests.metadata import labels, selector
from outboxrelay.manifests.secrets import references

USER = 65532
"""User and group of the image."""
DEFAULT_RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}
STARTUP_SECONDS = 180
"""A pod that has not answered for so long is started anew. On a node without a processor to spare starts take minutes,
and who ends them too soon makes them all begin again; that a relay does not deliver is an incident long before."""


def pod_template(manifest: RelayManifest, image: str, credentials: str, priority_class: str = "") -> dict[str, Any]:
    """The pod template; ``credentials`` is the hash of what the referenced Secrets hold, ``priority_class`` names the
    PriorityClass of critical relays."""
    template, name = manifest.spec.template, manifest.identity.name
    annotations = {
        names.ANNOTATION_CONFIG_HASH: config_hash(config_text(manifest)),
        names.ANNOTATION_CREDENTIALS_HASH: credentials,
    }
    spec: dict[str, Any] = {
        "serviceAccountName": names.child_name(name),
        "automountServiceAccountToken": False,
        # A Service called like our environment prefix would put variables into the pod that the relay refuses.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(manifest, template.image or image)],
        "volumes": _volumes(manifest),
    }
    optional = {
        "nodeSelector": template.node_selector,
        "affinity": template.affinity,
        "tolerations": template.tolerations,
        "priorityClassName": priority_class if manifest.spec.is_critical else "",
        "topologySpreadConstraints": _spread(name) if manifest.spec.is_critical else [],
    }
    return {
        "metadata": {
            "labels": {**template.labels, **labels(name)},
            "annotations": {**template.annotations, **annotations},
        },
        "spec": {**spec, **{key: value for key, value in optional.items() if value}},
    }


def _spread(relay: str) -> list[dict[str, Any]]:
    """Over nodes and zones, each rollout for itself. Crowded pods are better than none: nothing here is a must."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(relay)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def _container(manifest: RelayManifest, image: str) -> dict[str, Any]:
    config = f"{names.CONFIG_DIRECTORY}/{names.CONFIG_FILE}"
    return {
        "name": "relay",
        "image": image,
        "args": ["relay", "--config", config, "--credentials", names.CREDENTIALS_DIRECTORY],
        "env": [{"name": "OUTBOXRELAY_RELAY_MEMBER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"name": "http", "containerPort": names.RELAY_PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/livez", period=1, failures=STARTUP_SECONDS),
        "livenessProbe": _probe("/livez", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "resources": manifest.spec.template.resources or DEFAULT_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": names.CONFIG_DIRECTORY, "readOnly": True},
            {"name": "credentials", "mountPath": names.CREDENTIALS_DIRECTORY, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _volumes(manifest: RelayManifest) -> list[dict[str, Any]]:
    by_secret: dict[str, list[dict[str, str]]] = {}
    for item in references(manifest.spec):
        by_secret.setdefault(item.name, []).append({"key": item.key, "path": f"{item.name}/{item.key}"})
    sources = [{"secret": {"name": name, "items": items}} for name, items in by_secret.items()]
    return [
        {"name": "config", "configMap": {"name": names.child_name(manifest.identity.name)}},
        {"name": "credentials", "projected": {"defaultMode": 0o440, "sources": sources}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
    ]
