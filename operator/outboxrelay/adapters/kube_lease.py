"""The Lease by which one of the operator's replicas leads.

Written with plain requests: in kubernetes 37.0.2 LeaseLock.create passes an argument that the client itself refuses.
"""

from datetime import UTC, datetime
from typing import Any

from outboxrelay.adapters.kube_objects import KubeObjects
from outboxrelay.decisions.leadership import LeaseRecord
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import LEASE

TAKEN = frozenset({404, 409})
"""HTTP statuses that say: somebody was faster, look again."""


class KubeLease:
    """One Lease object."""

    def __init__(self, objects: KubeObjects, namespace: str, name: str) -> None:
        self._objects = objects
        self._namespace = namespace
        self._name = name

    async def read(self) -> LeaseRecord | None:
        """What the Lease says; None where there is none."""
        body = await self._objects.get(LEASE, self._namespace, self._name)
        return None if body is None else _record(body)

    async def write(
        self, holder: str, duration: int, transitions: int, before: LeaseRecord | None
    ) -> LeaseRecord | None:
        """The Lease as written over ``before``; None where somebody else wrote first."""
        # A Lease carries wall-clock times for people; nobody's decisions compare them with another clock.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: TID251
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration,
            "leaseTransitions": transitions,
            "renewTime": now,
        }
        if before is None or before.holder != holder:
            spec["acquireTime"] = now
        metadata = {"namespace": self._namespace, "name": self._name}
        body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}
        try:
            if before is None:
                return _record(await self._objects.create(LEASE, body))
            body["metadata"] = {**metadata, "resourceVersion": before.version}
            return _record(await self._objects.replace(LEASE, body))
        except ClusterFault as fault:
            if fault.status in TAKEN:
                return None
            raise


def _record(body: dict[str, Any]) -> LeaseRecord:
    spec = body.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=int(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        renewed=spec.get("renewTime") or "",
        version=body.get("metadata", {}).get("resourceVersion") or "",
    )
