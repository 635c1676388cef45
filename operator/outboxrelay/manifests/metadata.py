"""What every child object carries: a name, the labels that find it, and the owner that takes it along."""

from typing import Any

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayIdentity
from outboxrelay.manifests.kinds import ResourceKind


def child(kind: ResourceKind, identity: RelayIdentity) -> dict[str, Any]:
    """The head of a child object of the relay."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": names.child_name(identity.name),
            "namespace": identity.namespace,
            "labels": labels(identity.name),
            "ownerReferences": [owner(identity)],
        },
    }


def labels(relay: str) -> dict[str, str]:
    """Labels of every child, pods included."""
    return {
        **selector(relay),
        names.LABEL_INSTANCE: relay,
        names.LABEL_MANAGED_BY: names.MANAGER,
    }


def selector(relay: str) -> dict[str, str]:
    """The labels that the Deployment selects its pods by; immutable, so as few as possible."""
    return {names.LABEL_NAME: names.RELAY_APP_NAME, names.LABEL_RELAY: relay}


def selector_text(relay: str) -> str:
    """The same as one label selector, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector(relay).items()))


def owner(identity: RelayIdentity) -> dict[str, Any]:
    """The owner reference. It does not block the owner's deletion: that would need one more permission."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": identity.name,
        "uid": identity.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
