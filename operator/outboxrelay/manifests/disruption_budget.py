"""The PodDisruptionBudget of a critical relay: a drain takes one pod at a time, and the next when another is ready.

maxUnavailable 1 is minAvailable "all but one" for any number of pods, so that scaling need not rewrite it.
"""

from typing import Any

from outboxrelay.api.manifest import RelayManifest
from outboxrelay.manifests.kinds import DISRUPTION_BUDGET
from outboxrelay.manifests.metadata import child, selector


def disruption_budget(manifest: RelayManifest) -> dict[str, Any]:
    """The PodDisruptionBudget of the relay."""
    return {
        **child(DISRUPTION_BUDGET, manifest.identity),
        "spec": {
            "maxUnavailable": 1,
            # A pod that is not ready delivers nothing: it must not keep a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(manifest.identity.name)},
        },
    }
