"""What the chart makes, rendered by the real helm and checked by the real API server."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, helm, kubectl, sets

pytestmark = pytest.mark.needs_cluster

NAMESPACED = {"watchNamespaces": ["shop", "billing"]}
EVERYTHING = {
    "image": {"repository": "registry.example.com/team/outboxrelay", "digest": f"sha256:{'a' * 64}"},
    "imagePullSecrets": [{"name": "registry"}],
    "relayImage": "registry.example.com/team/relay:7",
    "watchNamespaces": ["default"],
    "replicas": 3,
    "notifications": {
        "minSeverity": "Critical",
        "webhook": {"urls": [], "secretName": "hook", "secretKey": "address"},
        "alertmanager": {"urls": ["http://am-0:9093", "http://am-1:9093"], "secretName": "", "secretKey": "url"},
    },
    "runbookUrl": "https://books.example.com/incidents",
    "serviceAccount": {"create": True, "name": "someone", "annotations": {"example.com/role": "relay"}},
    "podAnnotations": {"prometheus.io/scrape": "true"},
    "podLabels": {"team": "shop", "app.kubernetes.io/name": "mine"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}

RULE = {"ports": [{"port": 5432}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
CLOSED = {
    "networkPolicy.controller": {"create": True, "egress": [RULE]},
    "networkPolicy.relays": {"create": True, "namespaces": ["default"], "egress": [RULE]},
    "networkPolicy.scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
    "commonLabels": {"team": "platform"},
    "commonAnnotations": {"example.com/owner": "platform"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
}

Object = dict[str, Any]


def rendered(values: Object) -> list[Object]:
    done = helm("template", "relays", str(CHART), "--namespace", "default", *sets(values))
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def operators_rules(objects: list[Object]) -> list[Object]:
    """The rules of the operator itself: not those that let users see and edit OutboxRelays."""
    roles = of_kind(objects, "Role", "ClusterRole")
    own = [role for role in roles if not any("aggregate" in label for label in role["metadata"]["labels"])]
    return [rule for role in own for rule in role["rules"]]


def container(objects: list[Object]) -> Object:
    (deployment,) = of_kind(objects, "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(objects: list[Object]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container(objects)["env"] if "value" in item}


def test_helm_finds_nothing_wrong() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [{}, NAMESPACED])
def test_no_rule_has_a_wildcard(values: Object) -> None:
    words = [word for rule in operators_rules(rendered(values)) for part in rule.values() for word in part]
    assert "secrets" in words
    assert [word for word in words if "*" in word] == []


@pytest.mark.parametrize("values", [{}, NAMESPACED])
def test_secrets_can_be_read_one_by_one_and_nothing_else(values: Object) -> None:
    rules = [rule for rule in operators_rules(rendered(values)) if "secrets" in rule["resources"]]
    assert rules
    assert all(rule["verbs"] == ["get"] and rule["resources"] == ["secrets"] for rule in rules)


@pytest.mark.parametrize("values", [{}, NAMESPACED])
def test_the_operator_can_delete_nothing_but_budgets_and_write_no_roles(values: Object) -> None:
    rules = operators_rules(rendered(values))
    forbidden = {"delete", "deletecollection", "bind", "escalate"}
    found = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {item for item in found if item[1] in forbidden} == {("poddisruptionbudgets", "delete")}
    assert not any("rbac.authorization.k8s.io" in rule["apiGroups"] for rule in rules)


def test_without_namespaces_a_cluster_role_serves_them_all() -> None:
    objects = rendered({})
    assert len(of_kind(objects, "ClusterRoleBinding")) == 1
    assert "OUTBOXRELAY_CONTROLLER_NAMESPACE" not in environment(objects)


def test_with_namespaces_there_is_a_role_in_each_and_no_cluster_role() -> None:
    objects = rendered(NAMESPACED)
    assert of_kind(objects, "ClusterRole", "ClusterRoleBinding") == []
    assert {item["metadata"]["namespace"] for item in of_kind(objects, "RoleBinding")} == {"shop", "billing", "default"}
    assert environment(objects)["OUTBOXRELAY_CONTROLLER_NAMESPACE"] == "shop,billing"


def test_the_lease_that_is_used_is_the_one_that_is_granted() -> None:
    objects = rendered({})
    named = [rule for rule in operators_rules(objects) if "leases" in rule["resources"] and "resourceNames" in rule]
    assert [rule["resourceNames"] for rule in named] == [[environment(objects)["OUTBOXRELAY_CONTROLLER_LEASE_NAME"]]]


def test_the_definition_is_installed_and_kept_unless_it_is_declined() -> None:
    (definition,) = of_kind(rendered({}), "CustomResourceDefinition")
    assert definition["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert of_kind(rendered({"crds": {"install": False}}), "CustomResourceDefinition") == []


def test_relay_pods_get_the_operators_image_unless_another_is_named() -> None:
    objects = rendered({"image": {"repository": "r.example:5000/a/b", "tag": "7"}})
    assert container(objects)["image"] == "r.example:5000/a/b:7"
    assert environment(objects)["OUTBOXRELAY_CONTROLLER_RELAY_IMAGE"] == "r.example:5000/a/b:7"
    assert environment(rendered(EVERYTHING))["OUTBOXRELAY_CONTROLLER_RELAY_IMAGE"] == EVERYTHING["relayImage"]


def test_receivers_of_notifications_are_named_by_values_or_by_a_secret() -> None:
    assert not any(
        "WEBHOOK" in item["name"] or "ALERTMANAGER" in item["name"] for item in container(rendered({}))["env"]
    )
    found = {item["name"]: item for item in container(rendered(EVERYTHING))["env"]}
    hook = found["OUTBOXRELAY_CONTROLLER_WEBHOOK_URL"]
    assert hook["valueFrom"] == {"secretKeyRef": {"name": "hook", "key": "address"}}
    assert found["OUTBOXRELAY_CONTROLLER_ALERTMANAGER_URL"]["value"] == "http://am-0:9093,http://am-1:9093"
    assert found["OUTBOXRELAY_CONTROLLER_NOTIFY_SEVERITY"]["value"] == "Critical"
    assert found["OUTBOXRELAY_CONTROLLER_RUNBOOK_URL"]["value"] == "https://books.example.com/incidents"


def test_urls_and_a_secret_for_one_receiver_are_refused() -> None:
    both = {"notifications": {"webhook": {"urls": ["https://a"], "secretName": "hook"}}}
    done = helm("template", "relays", str(CHART), *sets(both))
    assert done.returncode != 0
    assert "notifications.webhook: give urls or secretName, not both" in done.stderr


def test_a_digest_wins_over_a_tag() -> None:
    image = {"repository": "a", "tag": "7", "digest": f"sha256:{'b' * 64}"}
    assert container(rendered({"image": image}))["image"] == f"a@sha256:{'b' * 64}"


def test_labels_of_the_user_cannot_break_the_selector() -> None:
    (deployment,) = of_kind(rendered(EVERYTHING), "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "shop"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"logLevel": "loud"}, "/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"replicas": "two"}, "/replicas': got string, want integer"),
        ({"replicas": 0}, "/replicas': minimum: got 0, want 1"),
        ({"watchNamespaces": ["Shop"]}, "/watchNamespaces/0': 'Shop' does not match pattern"),
        ({"imag": {}}, "additional properties 'imag' not allowed"),
        ({"image": {"registry": "x"}}, "at '/image': additional properties 'registry' not allowed"),
        ({"image": {"repository": "a:7"}}, "/image/repository': 'a:7' does not match pattern"),
        ({"resources": {"limit": {}}}, "at '/resources': additional properties 'limit' not allowed"),
        ({"notifications": {"minSeverity": "Info"}}, "/notifications/minSeverity': value must be one of"),
        (
            {"notifications": {"webhook": {"urls": ["https://user:secret@host/"]}}},
            "/notifications/webhook/urls/0': 'https://user:secret@host/' does not match pattern",
        ),
        ({"statusIntervalSeconds": 0}, "/statusIntervalSeconds': minimum"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values: Object, complaint: str) -> None:
    done = helm("template", "relays", str(CHART), *sets(values))
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["default"]}, EVERYTHING, CLOSED])
def test_the_api_server_takes_all_of_it(values: Object) -> None:
    objects = rendered(values)
    done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(objects)


@pytest.fixture
def restricted() -> Iterator[str]:
    """A namespace that takes only pods of the restricted security standard; it holds the chart's service account."""
    name = f"chart-{secrets.token_hex(4)}"
    assert kubectl("create", "namespace", name).returncode == 0
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("-n", name, "create", "serviceaccount", "relays-outbox-relay-operator")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def test_the_pods_fit_the_restricted_security_standard(restricted: str) -> None:
    (deployment,) = of_kind(rendered({}), "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fits"}, "spec": spec}
    create = ("-n", restricted, "create", "--dry-run=server", "-f", "-")
    fits = kubectl(*create, stdin=yaml.safe_dump(pod))
    assert "created (server dry run)" in fits.stdout, fits.stderr
    broken = kubectl(*create, stdin=yaml.safe_dump({**pod, "spec": {**spec, "securityContext": {}}}))
    assert "violates PodSecurity" in broken.stderr
