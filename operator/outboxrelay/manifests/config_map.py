"""The ConfigMap that holds the relay's config file."""

from typing import Any

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.manifests.config import config_text
from outboxrelay.manifests.kinds import CONFIG_MAP
from outboxrelay.manifests.metadata import child


def config_map(manifest: RelayManifest) -> dict[str, Any]:
    """The ConfigMap of the relay."""
    return {**child(CONFIG_MAP, manifest.identity), "data": {names.CONFIG_FILE: config_text(manifest)}}
