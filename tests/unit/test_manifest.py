"""Reading a manifest that no API server has checked."""

import copy
from typing import Any

import pytest

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.errors import InvalidInput

MINIMAL: dict[str, Any] = {
    "apiVersion": "outboxrelay.dev/v1alpha1",
    "kind": "OutboxRelay",
    "metadata": {"name": "orders"},
    "spec": {
        "source": {"database": {"uriSecretRef": {"name": "orders-db", "key": "uri"}}, "table": {"name": "outbox"}},
        "target": {"bootstrapServers": ["kafka:9092"], "topic": "orders.events"},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """MINIMAL with ``path`` set to ``value``."""
    manifest = copy.deepcopy(MINIMAL)
    *parents, last = path.split(".")
    node = manifest
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return manifest


def test_the_five_line_manifest_is_enough() -> None:
    manifest = parse_manifest(MINIMAL)
    assert manifest.spec.ordering.shards == 16
    assert manifest.spec.target.protocol == "SSL"
    assert manifest.spec.source.database.ssl_mode == "verify-full"
    assert str(manifest.identity) == "default/orders"


def test_what_the_controller_writes_the_relay_reads_back_unchanged() -> None:
    manifest = parse_manifest(changed("spec.scaling.replicas", 3))
    assert parse_manifest(manifest.as_object()) == manifest


def test_without_a_uid_namespace_and_name_identify_the_relay() -> None:
    assert parse_manifest(MINIMAL).identity.uid == "default/orders"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("apiVersion", "v1", "apiVersion: must be outboxrelay.dev/v1alpha1, is 'v1'"),
        ("kind", None, "kind: must be OutboxRelay, is None"),
        ("specs", {}, "specs: unknown field"),
        ("metadata", None, "metadata: required, with at least a name"),
        ("metadata.name", "", "metadata.name: must be a text that is not empty"),
        ("metadata.name", "x" * 53, "metadata.name: must be at most 52 characters"),
        ("metadata.uid", 7, "metadata.uid: must be a text that is not empty"),
        ("metadata.generation", "1", "metadata.generation: must be a number"),
        ("spec", None, "spec: input should be"),
        ("spec.source", {}, "spec.source.database: required"),
        ("spec.source.tabel", {}, "spec.source.tabel: unknown field"),
        ("spec.source.table.name", "", "spec.source.table.name: string should have at least 1 character"),
        ("spec.source.table.name", "a\0b", "spec.source.table.name: string should match pattern"),
        ("spec.source.database.host", "db", "spec.source.database: set exactly one of uriSecretRef or host"),
        ("spec.source.database.name", "db", "spec.source.database: name and credentialsSecretRef belong to host"),
        ("spec.source.read.batchSize", 10**30, "spec.source.read.batchSize"),
        ("spec.source.read.batchSize", "5000", "batchSize: input should be a valid integer, is '5000'"),
        ("spec.source.read", {"minPollMilliseconds": 5000}, "spec.source.read: minPollMilliseconds must not exceed"),
        ("spec.target.topic", "../etc", "spec.target.topic: string should match pattern"),
        ("spec.target.bootstrapServers", ["kafka"], "spec.target.bootstrapServers[0]: string should match pattern"),
        ("spec.target.bootstrapServers", [], "spec.target.bootstrapServers: list should have at least 1 item"),
        ("spec.target.protocol", "SASL_SSL", "spec.target: SASL_SSL and SASL_PLAINTEXT need saslMechanism"),
        ("spec.target.saslMechanism", "PLAIN", "spec.target: saslMechanism and credentialsSecretRef need protocol"),
        ("spec.ordering.shards", 0, "spec.ordering.shards: input should be greater than or equal to 1"),
        ("spec.scaling.replicas", 17, "spec: scaling.replicas must not exceed ordering.shards"),
        ("spec.scaling.minReplicas", 9, "spec.scaling: minReplicas must not exceed maxReplicas"),
        ("spec.scaling", {"mode": "Auto", "replicas": 2}, "spec.scaling: with mode Auto the operator decides"),
        ("spec.scaling", {"mode": "External"}, "spec.scaling: mode Manual and mode External need replicas"),
        ("spec.scaling", {"minReplicas": 17, "maxReplicas": 20}, "spec: scaling.minReplicas must not exceed ordering"),
        ("spec.source.database.maxConnections", 3, "maxConnections: input should be greater than or equal to 4"),
        ("spec.scaling", {"minReplicas": 9, "maxReplicas": 9}, "spec: source.database.maxConnections must allow 4"),
        ("spec.scaling.replicas", True, "spec.scaling.replicas: input should be a valid integer, is 'True'"),
        ("spec.retry", {"initialBackoffMilliseconds": 60000}, "spec.retry: initialBackoffMilliseconds must not"),
        ("spec.state", "running", "spec.state: input should be 'Running', 'Paused' or 'Stopped', is 'running'"),
    ],
)
def test_a_broken_manifest_is_refused_by_the_path_of_what_is_wrong(path: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_manifest(changed(path, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 7, "text", [], [MINIMAL]])
def test_something_that_is_no_manifest_is_refused(data: object) -> None:
    with pytest.raises(InvalidInput, match="expected an OutboxRelay manifest"):
        parse_manifest(data)
