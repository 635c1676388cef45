"""Specs that the CRD takes and that cannot be carried out: what to change, and where the message must point."""

from typing import Any, NamedTuple


class Broken(NamedTuple):
    """One such spec."""

    name: str
    changes: dict[str, Any]
    points_at: str


def _template(name: str, points_at: str, **template: Any) -> Broken:
    return Broken(name, {"template": template}, points_at)


def _affinity(name: str, points_at: str, **affinity: Any) -> Broken:
    return _template(name, f"spec.template.affinity{points_at}", affinity=affinity)


TERM = {"labelSelector": {"matchLabels": {"a": "b"}}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

BROKEN = (
    _affinity("affinity-text", "", nodeAffinity="x"),
    _affinity("affinity-unknown", "", bogus={}),
    _affinity("affinity-no-terms", "", nodeAffinity={REQUIRED: {"nodeSelectorTerms": []}}),
    _affinity(
        "affinity-operator",
        "",
        nodeAffinity={REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Like"}]}]}},
    ),
    _affinity("affinity-no-topology", "", podAffinity={REQUIRED: [TERM]}),
    _affinity("affinity-list", "", podAntiAffinity=[]),
    _affinity(
        "affinity-weight",
        "",
        podAntiAffinity={PREFERRED: [{"weight": 1000, "podAffinityTerm": {**TERM, "topologyKey": "a"}}]},
    ),
    _affinity("affinity-weight-text", "", podAntiAffinity={PREFERRED: [{"weight": "1", "podAffinityTerm": TERM}]}),
    _template("toleration-operator", "spec.template.tolerations", tolerations=[{"key": "a", "operator": "Like"}]),
    _template("toleration-effect", "spec.template.tolerations", tolerations=[{"key": "a", "effect": "Bogus"}]),
    _template("toleration-unknown", "spec.template.tolerations", tolerations=[{"bogus": 1}]),
    _template("toleration-key", "spec.template.tolerations", tolerations=[{"key": "a key", "operator": "Exists"}]),
    _template(
        "toleration-value", "spec.template.tolerations", tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]
    ),
    _template(
        "toleration-seconds",
        "spec.template.tolerations",
        tolerations=[{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}],
    ),
    _template("toleration-number", "spec.template.tolerations", tolerations=[{"key": 5}]),
    _template("memory-word", "spec.template.resources", resources={"limits": {"memory": "lots"}}),
    _template("memory-negative", "spec.template.resources", resources={"limits": {"memory": "-1"}}),
    _template(
        "cpu-more-than-limit",
        "spec.template.resources",
        resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
    ),
    _template("resources-unknown", "spec.template.resources", resources={"bogus": {}}),
    _template("resources-text", "spec.template.resources", resources={"requests": "much"}),
    _template("resources-name", "spec.template.resources", resources={"limits": {"a b": "1"}}),
    _template("resources-claim", "spec.template.resources", resources={"claims": [{"name": "none"}]}),
    _template("label-key", "spec.template.labels", labels={"a key": "b"}),
    _template("label-value", "spec.template.labels", labels={"a": "b c"}),
    _template("label-prefix", "spec.template.labels", labels={"/a": "b"}),
    _template("label-slashes", "spec.template.labels", labels={"a/b/c": "d"}),
    _template("annotation-key", "spec.template.annotations", annotations={"a key": "b"}),
    _template("annotation-slashes", "spec.template.annotations", annotations={"a/b/c": "d"}),
    _template("node-key", "spec.template.nodeSelector", nodeSelector={"a key": "b"}),
    _template("node-value", "spec.template.nodeSelector", nodeSelector={"a": "b c"}),
    Broken(
        "uri-scheme",
        {"source": {"database": {"uriSecretRef": {"name": "uris", "key": "mysql"}}}},
        "key mysql of Secret uris",
    ),
    Broken(
        "uri-none",
        {"source": {"database": {"uriSecretRef": {"name": "uris", "key": "nonsense"}}}},
        "key nonsense of Secret uris",
    ),
    Broken(
        "uri-parameter",
        {"source": {"database": {"uriSecretRef": {"name": "uris", "key": "parameter"}}}},
        "key parameter of Secret uris",
    ),
)

URIS = {"mysql": "mysql://u:p@h/d", "nonsense": "http://[", "parameter": "postgresql://u:p@h/d?bogus=1"}
