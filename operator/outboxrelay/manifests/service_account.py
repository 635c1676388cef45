"""The identity of the relay's pods: one with no rights, and no token."""

from typing import Any

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.manifests.kinds import SERVICE_ACCOUNT
from outboxrelay.manifests.metadata import child


def service_account(manifest: RelayManifest) -> dict[str, Any]:
    """The ServiceAccount of the relay."""
    return {**child(SERVICE_ACCOUNT, manifest.identity), "automountServiceAccountToken": False}
