"""Writes crds/outboxrelays.yaml from the models, so that the two cannot disagree.

A structural schema allows less than JSON Schema: no $ref, no anyOf with null, no additionalProperties
beside properties, and descriptions without markup.
"""

from typing import Any

import yaml
from pydantic import BaseModel

from outboxrelay.api.isolation import SELF_RULE
from outboxrelay.api.names import GROUP, KIND, MAX_NAME_LENGTH, PLURAL, SHORT_NAME, VERSION
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.api.status import OutboxRelayStatus

HEADER = "# Generated from operator/outboxrelay/api by `make crd`; do not edit.\n"
DROPPED = ("title", "additionalProperties", "$defs", "const")


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI v3 structural schema of ``model``."""
    document = model.model_json_schema(by_alias=True)
    return _convert(document, document.get("$defs", {}))


def _convert(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """``node`` with references inlined and what a structural schema refuses removed."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        node = {**definitions[name], **{key: value for key, value in node.items() if key != "$ref"}}
    if "anyOf" in node:
        (variant,) = [item for item in node["anyOf"] if item.get("type") != "null"]
        rest = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
        return _convert({**variant, **rest}, definitions)
    result = {key: value for key, value in node.items() if key not in DROPPED}
    if "description" in result:
        result["description"] = _description(result)
    if "properties" in node:
        result["properties"] = {name: _convert(item, definitions) for name, item in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = _convert(node["items"], definitions)
    if isinstance(node.get("default"), dict):
        # An API server checks a default against the rules before it fills in the members' own defaults.
        result["default"] = {name: value for name, value in node["default"].items() if value is not None}
    if result.get("type") == "integer" and "format" not in result:
        result["format"] = "int64"
    return result


def _description(node: dict[str, Any]) -> str:
    """Plain text; with the default, which kubectl explain does not show by itself."""
    text = " ".join(node["description"].replace("`", "").split())
    default = node.get("default")
    shown = isinstance(default, str | int) and default != ""
    return f"{text} Default: {default}." if shown else text


def _column(name: str, path: str, description: str, kind: str = "string", wide: bool = False) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


def _scaling(field: str) -> str:
    return f'.status.conditions[?(@.type=="ScalingActive")].{field}'


def printer_columns() -> list[dict[str, Any]]:
    """What kubectl get shows."""
    return [
        _column("Ready", _ready("status"), "Whether events are delivered"),
        _column("Reason", _ready("reason"), "Why"),
        _column("Replicas", ".status.scaling.summary", "Pods: ready/desired, and /most where the operator decides"),
        _column("Backlog", ".status.backlog.display", "Rows that wait"),
        _column("Lag", ".status.backlog.lagDisplay", "Age of the oldest row that waits"),
        _column("Incidents", ".status.openIncidents", "Open incidents", kind="integer"),
        _column("Quarantined", ".status.quarantinedRows", "Rows moved aside", kind="integer", wide=True),
        _column("Table", ".spec.source.table.name", "Outbox table", wide=True),
        _column("Topic", ".spec.target.topic", "Kafka topic", wide=True),
        _column("Scaling", _scaling("reason"), "Who or what decides on the number of pods", wide=True),
        _column("Message", _ready("message"), "Why, in a sentence", wide=True),
        _column("Age", ".metadata.creationTimestamp", "Time since it was created", kind="date"),
    ]


def custom_resource_definition() -> dict[str, Any]:
    """The CustomResourceDefinition of OutboxRelay."""
    name_rule = {
        "rule": f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
        "message": f"metadata.name must be at most {MAX_NAME_LENGTH} characters: names of children derive from it",
    }
    spec = {**structural_schema(OutboxRelaySpec)}
    status = {**structural_schema(OutboxRelayStatus)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": ["outbox"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.scaling.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": printer_columns(),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "Carries the rows of a PostgreSQL outbox table to a Kafka topic: "
                            "at least once, in order per key.",
                            "required": ["spec"],
                            "x-kubernetes-validations": [
                                name_rule,
                                {"rule": SELF_RULE.expression, "message": SELF_RULE.message},
                            ],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


class _PlainDumper(yaml.SafeDumper):
    """Repeats what occurs twice: anchors and aliases are hard to read and some tools refuse them."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def crd_yaml() -> str:
    """The text of crds/outboxrelays.yaml."""
    return HEADER + yaml.dump(custom_resource_definition(), Dumper=_PlainDumper, sort_keys=False, width=110)
