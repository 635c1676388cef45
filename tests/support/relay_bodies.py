"""OutboxRelay objects, Secrets, Deployments, pods and reports as the controller meets them."""

import base64
from datetime import UTC, datetime
from typing import Any

from outboxrelay.api.manifest import RelayIdentity, RelayManifest, parse_spec
from outboxrelay.api.report import Delivery, Health, Held, HeldRow, RelayReport, Shards
from tests.support.merging import merged

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def relay_body(name: str = "orders", generation: int = 1, **changes: Any) -> dict[str, Any]:
    """An OutboxRelay as the API server delivers it; ``changes`` go into its spec."""
    spec: dict[str, Any] = {
        "source": {"database": {"uriSecretRef": {"name": "orders-db", "key": "uri"}}, "table": {"name": "outbox"}},
        "target": {"bootstrapServers": ["kafka:9092"], "topic": "orders.events", "protocol": "PLAINTEXT"},
    }
    return {
        "apiVersion": "outboxrelay.dev/v1alpha1",
        "kind": "OutboxRelay",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-of-{name}",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": merged(spec, changes),
    }


def manifest(body: dict[str, Any] | None = None, **changes: Any) -> RelayManifest:
    """The manifest of such a body."""
    body = body or relay_body(**changes)
    return RelayManifest(identity=identity(body), spec=parse_spec(body["spec"]))


def identity(body: dict[str, Any] | None = None) -> RelayIdentity:
    """Who it is."""
    metadata = (body or relay_body())["metadata"]
    return RelayIdentity(
        namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"], generation=metadata["generation"]
    )


def secret(name: str = "orders-db", **values: str) -> dict[str, Any]:
    """A Secret."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": name}, "data": data}


def pod_body(name: str = "orders-relay-1", *, ready: bool = True, **status: Any) -> dict[str, Any]:
    """A relay pod."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"outboxrelay.dev/relay": "orders"}, "uid": name},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions, **status},
    }


def report(
    *,
    member: str = "orders-relay-1",
    uid: str = "uid-of-orders",
    source: Health | None = None,
    target: Health | None = None,
    delivered: int = 0,
    circuit: str = "Closed",
    held: tuple[HeldRow, ...] = (),
) -> RelayReport:
    """What a pod says."""
    return RelayReport(
        identity=RelayIdentity(namespace="shop", name="orders", uid=uid),
        version="0",
        member=member,
        started_at=MOMENT,
        observed_at=MOMENT,
        state="Running",
        ready=True,
        shards=Shards(total=16, owned=list(range(16)), members=1),
        source=source or Health(healthy=True, reason="Connected"),
        target=target or Health(healthy=True, reason="Connected"),
        delivery=Delivery(rows_total=delivered, rows_per_second=12.0, circuit=circuit),  # type: ignore[arg-type]
        held=Held(keys=len(held), rows=list(held)),
    )


def held_row(row_id: int = 7, key: str | None = "k1") -> HeldRow:
    """A row that cannot be sent."""
    return HeldRow(
        row_id=row_id,
        key=key,
        event_id="e7",
        reason="RowTooLarge",
        message="2000000 bytes, the topic takes 1048588",
        since=MOMENT,
        attempts=3,
    )
