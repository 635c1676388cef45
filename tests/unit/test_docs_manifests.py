"""Every YAML block of the documentation is valid where a reader puts it: as objects, as a spec, or as chart values."""

import ast
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import API_VERSION, KIND
from outboxrelay.api.spec import OutboxRelaySpec
from tests.support.crd_rules import minimal
from tests.support.fences import Block, blocks
from tests.support.merging import merged

MANIFESTS = [block for block in blocks("yaml") if not block.reason]
SPEC = {str(field.alias) for field in OutboxRelaySpec.model_fields.values()}
OF_OTHERS = {"rule_files": "Prometheus' configuration: promtool checks it in tests/integration/test_dashboard.py"}
"""The first key of what is not ours, and what is done with it."""


def chart_schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("charts/outbox-relay-operator/values.schema.json").read_text())
    return found


def object_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The OutboxRelay that a document is, or is a part of; None where it is none."""
    if document.get("kind") == KIND:
        return document
    part = document if set(document) == {"spec"} else {"spec": document} if set(document) <= SPEC else None
    if part is None:
        return None
    base = minimal("relay")
    target = part["spec"].get("target", {})
    if "topicTemplate" in target or part["spec"].get("source", {}).get("table", {}).get("preset"):
        del base["spec"]["target"]["topic"]
    if "database" in part["spec"].get("source", {}) and "uriSecretRef" not in part["spec"]["source"]["database"]:
        del base["spec"]["source"]["database"]["uriSecretRef"]
    return merged(base, part)


def known_to_the_chart(values: Any, schema: dict[str, Any], path: str = "") -> None:
    """Every name is one, and every scalar of a type that the schema takes; raises AssertionError that names it."""
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert isinstance(values, tuple(kinds[kind] for kind in wanted if kind in kinds)), f"{path}: {values!r}"
    if isinstance(values, dict) and schema.get("properties"):
        for name, item in values.items():
            assert name in schema["properties"] or schema.get("additionalProperties", True) is not False, (
                f"{path}.{name}"
            )
            known_to_the_chart(item, schema["properties"].get(name, {}), f"{path}.{name}")


def is_values(document: dict[str, Any]) -> bool:
    """Whether its keys are the chart's."""
    return set(document) <= set(chart_schema()["properties"])


@pytest.mark.parametrize("block", MANIFESTS, ids=str)
def test_every_manifest_in_the_documentation_is_valid(block: Block) -> None:
    documents = [item for item in yaml.safe_load_all(block.text) if item]
    assert documents, f"{block} is empty"
    for document in documents:
        assert isinstance(document, dict), f"{block}: expected a mapping"
        if (found := object_of(document)) is not None:
            assert found["apiVersion"] == API_VERSION
            parse_manifest(found)
        elif {"apiVersion", "kind", "metadata"} <= set(document):
            assert document["metadata"].get("name"), f"{block}: an object needs a name"
        elif is_values(document):
            known_to_the_chart(document, chart_schema())
        else:
            assert next(iter(document)) in OF_OTHERS, f"{block}: neither an object, a part of a spec, nor chart values"


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_in_the_documentation_compiles_and_imports_what_there_is(block: Block) -> None:
    code = compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    assert isinstance(code, ast.Module)
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
    from outboxrelay import inbox, outbox

    ours = {"inbox": inbox, "outbox": outbox}
    for name, attribute in re.findall(r"\b(inbox|outbox)\.(\w+)", block.text):
        assert hasattr(ours[name], attribute), f"{block}: {name}.{attribute}"


def test_what_is_not_run_has_a_reason_that_says_something() -> None:
    assert [str(block) for block in blocks() if block.reason and len(block.reason.split()) < 3] == []
