"""Every option of the chart does something, and does what it says, as the real helm renders and lints it."""

from collections.abc import Hashable
from typing import Any

import pytest
import yaml

from tests.support.chart_values import (
    CLOSED,
    CONTROLLER,
    DELIVERY,
    MONITORED,
    OTHER,
    RELAYS,
    RULE,
    SETS,
    SPREAD,
    VALUES,
    WITH,
    Object,
    objects,
    one,
    pod_spec,
    text,
)
from tests.support.helm import CHART, helm, sets

pytestmark = pytest.mark.needs_cluster


def test_here_is_another_value_for_each() -> None:
    assert sorted(OTHER) == sorted(VALUES)


@pytest.mark.parametrize("value", VALUES)
def test_no_value_is_taken_and_ignored(value: str) -> None:
    companions = WITH.get(value, {})
    assert text({**companions, value: OTHER[value]}) != text(companions)


def test_the_console_is_off_unless_it_is_asked_for_and_no_port_leads_to_it() -> None:
    variable = {"name": "OUTBOXRELAY_CONTROLLER_CONSOLE_PORT", "value": "8081"}
    assert variable not in pod_spec({})["containers"][0]["env"]
    on = {"console.enabled": True, "networkPolicy.controller.create": True}
    container = pod_spec(on)["containers"][0]
    assert variable in container["env"]
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert "8081" not in "".join(str(item) for item in objects(on) if item["kind"] != "Deployment")


@pytest.mark.parametrize("name", SETS)
def test_helm_finds_nothing_wrong_with_any_set_of_values(name: str) -> None:
    done = helm("lint", "--strict", str(CHART), *sets(SETS[name]))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SETS)
def test_no_two_objects_of_a_set_are_the_same_one_and_none_has_a_key_twice(name: str) -> None:
    class Strict(yaml.SafeLoader):
        """Refuses a key that is there twice, as Kubernetes does and PyYAML does not."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"{name}: twice at {node.start_mark}"
            return super().construct_mapping(node, deep)

    found = [item for item in yaml.load_all(text(SETS[name]), Strict) if item]
    places = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found]
    assert len(places) == len(set(places))


def test_by_default_nothing_is_made_that_the_cluster_may_not_know() -> None:
    kinds = [item["kind"] for item in objects({})]
    assert sorted(kinds) == [
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "Pod",
        "PodDisruptionBudget",
        "PriorityClass",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ]


def test_labels_and_annotations_of_all_are_on_each_object_but_the_definition() -> None:
    for item in objects(SETS["labelled"]):
        if item["kind"] != "CustomResourceDefinition":
            metadata = item["metadata"]
            assert metadata["labels"]["team"] == "x", item["kind"]
            assert metadata["annotations"]["example.com/a"] == "b", item["kind"]
    template = one(SETS["labelled"], "Deployment")["spec"]["template"]["metadata"]
    assert template["labels"]["team"] == "x"
    assert "team" not in one(SETS["labelled"], "Deployment")["spec"]["selector"]["matchLabels"]


def test_the_service_the_budget_and_the_monitor_mean_the_pods_of_the_operator() -> None:
    labels = one(MONITORED, "Deployment")["spec"]["template"]["metadata"]["labels"]
    service = one(MONITORED, "Service")
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["clusterIP"] == "None"
    assert one(MONITORED, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    monitor = one(MONITORED, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"] == [{"port": "http", "interval": "15s", "honorLabels": True}]
    test = one(MONITORED, "Pod")
    assert not service["spec"]["selector"].items() <= test["metadata"]["labels"].items()


def test_the_pods_of_relays_are_scraped_where_they_are_with_the_name_of_their_relay() -> None:
    from outboxrelay.api import names
    from outboxrelay.manifests.metadata import labels

    spec = one(MONITORED, "PodMonitor")["spec"]
    assert spec["selector"]["matchLabels"].items() <= labels("orders").items()
    assert spec["namespaceSelector"] == {"any": True}
    assert one({**MONITORED, "watchNamespaces": ["shop"]}, "PodMonitor")["spec"]["namespaceSelector"] == {
        "matchNames": ["shop"]
    }
    (relabeling,) = spec["podMetricsEndpoints"][0]["relabelings"]
    label = names.LABEL_RELAY.replace(".", "_").replace("/", "_")
    assert relabeling == {"sourceLabels": [f"__meta_kubernetes_pod_label_{label}"], "targetLabel": "relay"}


def policies(values: Object) -> tuple[Object, Object]:
    """That of the operator and that of relays."""
    found = {item["metadata"]["name"]: item["spec"] for item in objects(values) if item["kind"] == "NetworkPolicy"}
    return found["relays-outbox-relay-operator"], found["default-relays-outbox-relay-operator-relays"]


def test_open_policies_keep_others_from_all_ports_but_the_one_of_metrics_and_nobody_from_going_out() -> None:
    for spec in policies({"networkPolicy.controller": CONTROLLER, "networkPolicy.relays": RELAYS}):
        assert spec["policyTypes"] == ["Ingress"]
        assert spec["ingress"] == [{"ports": [{"port": "http"}]}]
        assert "egress" not in spec


def test_closed_policies_let_in_who_is_named_and_out_what_is_needed() -> None:
    lookups = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    scraper = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    operator, relays = policies(CLOSED)
    relay_pods = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "outbox-relay"}}}
    assert operator["policyTypes"] == relays["policyTypes"] == ["Ingress", "Egress"]
    assert operator["egress"] == [
        lookups,
        {"ports": [{"port": 443}, {"port": 6443}]},
        {"ports": [{"port": 8080}], "to": [relay_pods]},
        *RULE,
    ]
    assert relays["egress"] == [lookups, *RULE]
    assert relays["podSelector"] == relay_pods["podSelector"]
    own = one(CLOSED, "Deployment")["spec"]["selector"]
    assert operator["podSelector"] == own
    first, test = operator["ingress"][0]["from"]
    assert first == scraper
    assert test["podSelector"]["matchLabels"] == one(CLOSED, "Pod")["metadata"]["labels"]
    first, asks = relays["ingress"][0]["from"]
    assert first == scraper
    assert asks == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        "podSelector": own,
    }


def test_policies_of_relays_are_where_the_relays_are_and_refused_where_that_is_not_known() -> None:
    found = [item for item in objects(SETS["namespaced"]) if item["kind"] == "NetworkPolicy"]
    assert [item["metadata"]["namespace"] for item in found] == ["shop", "billing"]
    done = helm("template", "relays", str(CHART), *sets({"networkPolicy.relays.create": True}))
    assert done.returncode != 0
    assert "networkPolicy.relays.namespaces: name the namespaces with relays" in done.stderr


def test_spread_is_over_the_pods_of_the_operator_unless_it_says_otherwise() -> None:
    own = one({}, "Deployment")["spec"]["selector"]
    assert pod_spec(SETS["placed"])["topologySpreadConstraints"] == [{**SPREAD[0], "labelSelector": own}]
    other = {**SPREAD[0], "labelSelector": {"matchLabels": {"a": "b"}}}
    assert pod_spec({"topologySpreadConstraints": [other]})["topologySpreadConstraints"] == [other]


def test_placement_and_pull_secrets_hold_for_the_pod_of_helm_test_too() -> None:
    values = {**SETS["placed"], **SETS["digest"]}
    test, operator = one(values, "Pod")["spec"], pod_spec(values)
    for name in ("imagePullSecrets", "nodeSelector", "tolerations"):
        assert test[name] == operator[name]
    assert test["containers"][0]["image"] == operator["containers"][0]["image"]


def test_helm_test_asks_the_service_by_a_command_that_exists() -> None:
    import click

    from outboxrelay.cli.check import check

    pod = one({"replicas": 3}, "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["automountServiceAccountToken"] is False
    command, *arguments = pod["spec"]["containers"][0]["args"]
    assert command == check.name
    parameters = check.make_context("check", arguments).params
    assert parameters["host"] == "relays-outbox-relay-operator.default.svc"
    assert parameters["replicas"] == 3
    with pytest.raises(click.UsageError):
        check.make_context("check", ["--hosts=a"])


def test_the_delivery_of_helm_test_is_of_a_relay_that_the_models_accept() -> None:
    from outboxrelay.api.manifest import parse_spec
    from outboxrelay.cli.deliver import deliver

    values = {"helmTest.delivery": {**DELIVERY, "schema": "shop", "table": "events"}}
    spec = parse_spec(one(values, "OutboxRelay")["spec"])
    (pod,) = [item for item in objects(values) if item["metadata"]["name"].endswith("-test-delivery")]
    container = pod["spec"]["containers"][0]
    assert container["args"][0] == deliver.name
    parameters = deliver.make_context("deliver", container["args"][1:]).params
    assert parameters["table"] == f"{spec.source.table.schema_}.{spec.source.table.name}" == "shop.events"
    reference = spec.source.database.uri_secret_ref
    assert reference is not None
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == {"name": reference.name, "key": reference.key}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"helmTest.delivery.create": True}, "helmTest.delivery: give uriSecret and target"),
        (
            {"helmTest.delivery": DELIVERY, "watchNamespaces": ["shop"]},
            "helmTest.delivery.namespace: default is not among watchNamespaces",
        ),
    ],
)
def test_a_delivery_that_cannot_be_made_is_not_rendered(values: Object, complaint: str) -> None:
    done = helm("template", "relays", str(CHART), "--namespace", "default", *sets(values))
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_links_of_alerts_begin_with_the_runbooks_of_the_user() -> None:
    values = {"monitoring.prometheusRule.create": True, "runbookUrl": "https://books.example.com/"}
    alerts = [rule for group in one(values, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].startswith("https://books.example.com/"), alert["alert"]
        assert "//" not in alert["annotations"]["runbook_url"].removeprefix("https://")


def test_the_links_of_alerts_lead_to_a_site_whose_pages_are_named_otherwise() -> None:
    values = {"monitoring.prometheusRule.create": True, "runbookUrl": "https://docs.example.com/$1/{page}.html"}
    groups = one(values, "PrometheusRule")["spec"]["groups"]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]}
    assert links["OutboxRelayNoProgress"] == "https://docs.example.com/$1/NoProgress.html"
    assert links["OutboxRelayNotificationsFail"] == "https://docs.example.com/$1/README.html#being-told"
    assert all(link.partition("#")[0].endswith(".html") for link in links.values())


def test_the_dashboard_is_the_file_and_is_found_by_grafana() -> None:
    found = one(MONITORED, "ConfigMap")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["data"] == {"outbox-relay.json": (CHART / "files/dashboard.json").read_text()}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "/commonLabels"),
        ({"extraEnv": [{"name": "OUTBOXRELAY_CONTROLLER_PORT", "value": "1"}]}, "/extraEnv/0/name"),
        ({"networkPolicy.controller.egress": [{"port": 5432}]}, "additional properties 'port' not allowed"),
        ({"networkPolicy.scrapers": [{}]}, "/networkPolicy/scrapers/0"),
        ({"monitoring.podMonitor.interval": "15"}, "/monitoring/podMonitor/interval': '15' does not match pattern"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "/topologySpreadConstraints/0': missing properties"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values: Object, complaint: str) -> None:
    done = helm("template", "relays", str(CHART), *sets(values))
    assert done.returncode != 0
    assert complaint in done.stderr
