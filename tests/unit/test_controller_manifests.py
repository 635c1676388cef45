"""The children of a relay: what they must have, and what must and must not change their pods."""

from typing import Any

import pytest
import yaml

from outboxrelay.api import names
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.decisions.rollouts import Template
from outboxrelay.manifests.config import credentials_hash
from outboxrelay.manifests.config_map import config_map
from outboxrelay.manifests.deployment import asked_replicas, deployment
from outboxrelay.manifests.ownership import Ownership, ownership
from outboxrelay.manifests.pod import pod_template
from outboxrelay.manifests.secrets import references
from outboxrelay.manifests.service_account import service_account
from tests.support.relay_bodies import identity, manifest

SASL = {
    "target": {
        "protocol": "SASL_SSL",
        "saslMechanism": "PLAIN",
        "credentialsSecretRef": {"name": "kafka"},
        "caSecretRef": {"name": "kafka", "key": "ca.crt"},
    }
}


def made(**changes: Any) -> dict[str, Any]:
    made = manifest(**changes)
    return deployment(made, pod_template(made, "relay:1", "hash", "vip"), Template("digest", 3, "hash"), 1)


def pod_spec(body: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = body["spec"]["template"]["spec"]
    return spec


def test_relay_pods_satisfy_the_restricted_pod_security_standard() -> None:
    pod = pod_spec(made())
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_relay_pods_have_no_api_token() -> None:
    assert pod_spec(made())["automountServiceAccountToken"] is False
    assert service_account(manifest())["automountServiceAccountToken"] is False


def test_a_pod_whose_node_has_no_processor_to_spare_has_three_minutes_to_start() -> None:
    probe = pod_spec(made())["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 180


def test_a_new_pod_is_ready_before_an_old_one_ends() -> None:
    assert made()["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_same_manifest_gives_the_same_objects() -> None:
    assert made() == made()
    assert config_map(manifest()) == config_map(manifest())


def test_neither_scaling_nor_a_new_generation_changes_a_pod() -> None:
    before, after = made(), made(scaling={"replicas": 5}, generation=9)
    assert before["spec"]["template"] == after["spec"]["template"]
    assert config_map(manifest())["data"] == config_map(manifest(scaling={"replicas": 5}, generation=9))["data"]


def test_what_only_the_operator_needs_to_know_changes_no_pod() -> None:
    changes = {"objectives": {"maxLagSeconds": 5}, "source": {"database": {"maxConnections": 100}}}
    assert made(**changes)["spec"]["template"] == made()["spec"]["template"]


@pytest.mark.parametrize(
    ("scaling", "mode", "asked"),
    [
        ({}, "Auto", None),
        ({"replicas": 3}, "Manual", 3),
        ({"mode": "Auto"}, "Auto", None),
        ({"mode": "Manual", "replicas": 0}, "Manual", 0),
        ({"mode": "External", "replicas": 2}, "External", 2),
    ],
)
def test_whoever_sets_only_replicas_decides_and_otherwise_the_operator_does(
    scaling: dict[str, Any], mode: str, asked: int | None
) -> None:
    assert manifest(scaling=scaling).spec.scaling.effective_mode == mode
    assert asked_replicas(manifest(scaling=scaling)) == asked


def test_stopping_changes_no_pod_but_pausing_does() -> None:
    assert made(state="Stopped")["spec"]["template"] == made()["spec"]["template"]
    assert made(state="Paused")["spec"]["template"] != made()["spec"]["template"]
    assert asked_replicas(manifest(state="Stopped", scaling={"replicas": 2})) == 0
    assert asked_replicas(manifest(state="Paused", scaling={"replicas": 2})) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"read": {"batchSize": 10}}},
        {"target": {"topic": "other"}},
        {"retry": {"maxBackoffSeconds": 60}},
        {"template": {"image": "other:2"}},
    ],
)
def test_what_matters_to_a_running_relay_rolls_its_pods(changes: dict[str, Any]) -> None:
    assert made(**changes)["spec"]["template"] != made()["spec"]["template"]


def test_the_config_file_is_a_manifest_that_the_relay_can_read() -> None:
    text = config_map(manifest(**SASL))["data"][names.CONFIG_FILE]
    read = parse_manifest(yaml.safe_load(text))
    assert read.identity.uid == "uid-of-orders"
    assert read.spec.target == manifest(**SASL).spec.target


def test_credentials_are_mounted_by_secret_and_key() -> None:
    [volume] = [item for item in pod_spec(made(**SASL))["volumes"] if item["name"] == "credentials"]
    paths = {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]}
    assert paths == {"orders-db/uri", "kafka/username", "kafka/password", "kafka/ca.crt"}
    assert paths == {f"{item.name}/{item.key}" for item in references(manifest(**SASL).spec)}


def test_the_credentials_hash_follows_the_content_and_is_salted() -> None:
    one = credentials_hash("uid-1", [("db", "uri", b"a")])
    assert one == credentials_hash("uid-1", [("db", "uri", b"a")])
    assert (
        len({one, credentials_hash("uid-1", [("db", "uri", b"b")]), credentials_hash("uid-2", [("db", "uri", b"a")])})
        == 3
    )


def test_labels_and_annotations_of_users_cannot_displace_the_operators_own() -> None:
    theirs = {"labels": {names.LABEL_RELAY: "x", "team": "shop"}, "annotations": {names.ANNOTATION_CONFIG_HASH: "x"}}
    metadata = made(template=theirs)["spec"]["template"]["metadata"]
    assert metadata["labels"][names.LABEL_RELAY] == "orders"
    assert metadata["labels"]["team"] == "shop"
    assert metadata["annotations"][names.ANNOTATION_CONFIG_HASH] != "x"


def test_children_go_with_their_relay_and_need_no_permission_on_finalizers() -> None:
    [owner] = made()["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("uid-of-orders", True, False)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"ownerReferences": [{"uid": "uid-of-orders"}]}, Ownership.OURS),
        ({"ownerReferences": [{"uid": "old", "kind": "OutboxRelay", "name": "orders"}]}, Ownership.PREDECESSOR),
        ({"ownerReferences": [{"uid": "x", "kind": "Other", "name": "orders"}]}, Ownership.FOREIGN),
        ({"labels": {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_RELAY: "orders"}}, Ownership.ORPHAN),
        ({"labels": {names.LABEL_RELAY: "orders"}}, Ownership.FOREIGN),
        ({}, Ownership.FOREIGN),
    ],
)
def test_only_what_the_operator_made_is_its_own(metadata: dict[str, Any], expected: Ownership) -> None:
    assert ownership({"metadata": metadata}, identity()) is expected
