"""The Kubernetes resources that the operator reads or writes, and their paths at the API server."""

from dataclasses import dataclass
from typing import Final

from outboxrelay.api import names


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One kind of namespaced object."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of a collection (of all namespaces where ``namespace`` is None), an object or a subresource."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{rest}"


RELAY: Final = ResourceKind(names.API_VERSION, names.KIND, names.PLURAL)
DEPLOYMENT: Final = ResourceKind("apps/v1", "Deployment", "deployments")
CONFIG_MAP: Final = ResourceKind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT: Final = ResourceKind("v1", "ServiceAccount", "serviceaccounts")
DISRUPTION_BUDGET: Final = ResourceKind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD: Final = ResourceKind("v1", "Pod", "pods")
SECRET: Final = ResourceKind("v1", "Secret", "secrets")
EVENT: Final = ResourceKind("v1", "Event", "events")
LEASE: Final = ResourceKind("coordination.k8s.io/v1", "Lease", "leases")

CHILD_KINDS: Final = {kind.kind: kind for kind in (SERVICE_ACCOUNT, CONFIG_MAP, DISRUPTION_BUDGET, DEPLOYMENT)}
"""What an OutboxRelay consists of, in the order in which it is applied; the budget belongs to critical ones only."""
