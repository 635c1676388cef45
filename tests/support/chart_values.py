"""Values of the chart: another one than its default for each, sets that people use, and what helm renders of them."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.helm import CHART, helm, sets

Object = dict[str, Any]
RULE = [{"ports": [{"port": 5432}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]
SPREAD = [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}]
CONTROLLER, RELAYS = {"create": True}, {"create": True, "namespaces": ["shop"]}

DELIVERY = {"create": True, "uriSecret": "relay-test", "target": {"bootstrapServers": ["kafka:9093"], "topic": "test"}}

OTHER: dict[str, Any] = {
    "image.repository": "registry.example.com/outboxrelay",
    "image.tag": "7",
    "image.digest": f"sha256:{'a' * 64}",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "relayImage": "registry.example.com/relay:7",
    "watchNamespaces": ["shop"],
    "crds.install": False,
    "replicas": 3,
    "logLevel": "debug",
    "statusIntervalSeconds": 30,
    "probeIntervalSeconds": 10,
    "notifications.minSeverity": "Critical",
    "notifications.webhook.urls": ["https://hooks.example.com/a"],
    "notifications.webhook.secretName": "hook",
    "notifications.webhook.secretKey": "address",
    "notifications.alertmanager.urls": ["http://alertmanager:9093"],
    "notifications.alertmanager.secretName": "hook",
    "notifications.alertmanager.secretKey": "address",
    "runbookUrl": "https://books.example.com",
    "console.enabled": True,
    "rollouts.atOnce": 7,
    "rollouts.watchSeconds": 7,
    "criticalRelays.priorityClass.create": False,
    "criticalRelays.priorityClass.name": "mine",
    "criticalRelays.priorityClass.value": 7,
    "rbac.create": False,
    "rbac.aggregate": False,
    "serviceAccount.create": False,
    "serviceAccount.name": "mine",
    "serviceAccount.annotations": {"a": "b"},
    "podDisruptionBudget.create": False,
    "resources": {"limits": {"memory": "1Gi"}},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "networkPolicy.controller.create": True,
    "networkPolicy.controller.egress": RULE,
    "networkPolicy.relays.create": True,
    "networkPolicy.relays.namespaces": ["shop", "billing"],
    "networkPolicy.relays.egress": RULE,
    "networkPolicy.apiServerPorts": [7443],
    "networkPolicy.scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
    "monitoring.serviceMonitor.create": True,
    "monitoring.serviceMonitor.interval": "30s",
    "monitoring.serviceMonitor.labels": {"release": "prometheus"},
    "monitoring.podMonitor.create": True,
    "monitoring.podMonitor.interval": "30s",
    "monitoring.podMonitor.labels": {"release": "prometheus"},
    "monitoring.prometheusRule.create": True,
    "monitoring.prometheusRule.labels": {"release": "prometheus"},
    "monitoring.dashboard.create": True,
    "monitoring.dashboard.labels": {"folder": "a"},
    "monitoring.dashboard.annotations": {"folder": "a"},
    "helmTest.delivery.create": True,
    "helmTest.delivery.namespace": "shop",
    "helmTest.delivery.uriSecret": "other",
    "helmTest.delivery.uriKey": "other",
    "helmTest.delivery.schema": "other",
    "helmTest.delivery.table": "other",
    "helmTest.delivery.target": {"bootstrapServers": ["other:9093"]},
    "commonLabels": {"team": "platform"},
    "commonAnnotations": {"example.com/owner": "platform"},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": SPREAD,
    "priorityClassName": "system-cluster-critical",
    "fullnameOverride": "mine",
}
"""For each value one that is not its default."""
WITH: dict[str, Object] = {
    "notifications.webhook.secretKey": {"notifications.webhook.secretName": "hook"},
    "notifications.alertmanager.secretKey": {"notifications.alertmanager.secretName": "hook"},
    "networkPolicy.controller.egress": {"networkPolicy.controller.create": True},
    "networkPolicy.relays.create": {"networkPolicy.relays.namespaces": ["shop"]},
    "networkPolicy.relays.namespaces": {"networkPolicy.relays": RELAYS},
    "networkPolicy.relays.egress": {"networkPolicy.relays": RELAYS},
    "networkPolicy.apiServerPorts": {"networkPolicy.controller": {"create": True, "egress": RULE}},
    "networkPolicy.scrapers": {"networkPolicy.controller": CONTROLLER},
    "helmTest.delivery.create": {"helmTest.delivery": {**DELIVERY, "create": False}},
    **{
        f"helmTest.delivery.{name}": {"helmTest.delivery": DELIVERY}
        for name in ("namespace", "uriSecret", "uriKey", "schema", "table", "target")
    },
    "monitoring.serviceMonitor.interval": {"monitoring.serviceMonitor.create": True},
    "monitoring.serviceMonitor.labels": {"monitoring.serviceMonitor.create": True},
    "monitoring.podMonitor.interval": {"monitoring.podMonitor.create": True},
    "monitoring.podMonitor.labels": {"monitoring.podMonitor.create": True},
    "monitoring.prometheusRule.labels": {"monitoring.prometheusRule.create": True},
    "monitoring.dashboard.labels": {"monitoring.dashboard.create": True},
    "monitoring.dashboard.annotations": {"monitoring.dashboard.create": True},
}
"""What else a value needs to have something to be about."""
MONITORED = {
    f"monitoring.{kind}.create": True for kind in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboard")
}
CLOSED = {
    "networkPolicy.controller": {"create": True, "egress": RULE},
    "networkPolicy.relays": {**RELAYS, "egress": RULE},
    "networkPolicy.scrapers": OTHER["networkPolicy.scrapers"],
}
SETS: dict[str, Object] = {
    "defaults": {},
    "namespaced": {"watchNamespaces": ["shop", "billing"], "networkPolicy.relays.create": True},
    "monitored": MONITORED,
    "closed": CLOSED,
    "labelled": {**MONITORED, **CLOSED, "commonLabels": {"team": "x"}, "commonAnnotations": {"example.com/a": "b"}},
    "digest": {"image.digest": OTHER["image.digest"], "imagePullSecrets": [{"name": "registry"}]},
    "proven": {"helmTest.delivery": DELIVERY},
    "small": {"replicas": 1, "podDisruptionBudget.create": False, "rbac.aggregate": False, "crds.install": False},
    "placed": {name: OTHER[name] for name in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")},
    "brought": {"rbac.create": False, "serviceAccount": {"create": False, "name": "mine"}, "relayImage": "a/b:7"},
}


def leaves(values: Object, path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name != "resources":
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


VALUES = list(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


@functools.cache
def _text(values: str) -> str:
    done = helm("template", "relays", str(CHART), "--namespace", "default", *sets(json.loads(values)))
    assert done.returncode == 0, done.stderr
    return done.stdout


def text(values: Object) -> str:
    """What is rendered, comments left out."""
    return "\n".join(line for line in _text(json.dumps(values)).splitlines() if not line.lstrip().startswith("#"))


def objects(values: Object) -> list[Object]:
    return [item for item in yaml.safe_load_all(text(values)) if item]


def one(values: Object, kind: str) -> Object:
    (found,) = [item for item in objects(values) if item["kind"] == kind]
    return found


def pod_spec(values: Object) -> Object:
    spec: Object = one(values, "Deployment")["spec"]["template"]["spec"]
    return spec
