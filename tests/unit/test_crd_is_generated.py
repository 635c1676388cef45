"""crds/ and the models cannot disagree."""

from pathlib import Path
from typing import Any

import pytest

from outboxrelay.api.schema import crd_yaml, custom_resource_definition

ROOT = Path(__file__).parents[2]


def spec_schema() -> dict[str, Any]:
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]
    return schema


def every_field(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, item in schema.get("properties", {}).items():
        found.append((f"{path}.{name}", item))
        found += every_field(item, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        found += every_field(schema["items"], f"{path}[]")
    return found


def test_the_committed_crd_is_the_generated_one() -> None:
    assert (ROOT / "crds/outboxrelays.yaml").read_text() == crd_yaml(), "run `make crd`"


def test_the_charts_crd_is_the_generated_one() -> None:
    assert (ROOT / "charts/outbox-relay-operator/files/outboxrelays.yaml").read_text() == crd_yaml(), "run `make crd`"


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_has_a_description_for_kubectl_explain(part: str) -> None:
    assert [path for path, item in every_field(spec_schema()[part], part) if not item.get("description")] == []


@pytest.mark.parametrize("part", ["spec", "status"])
def test_the_schema_has_nothing_that_a_structural_schema_refuses(part: str) -> None:
    text = str(spec_schema()[part])
    assert [word for word in ("$ref", "anyOf", "$defs", "'title'", "'const'") if word in text] == []


def test_every_text_and_list_of_the_spec_is_bounded() -> None:
    def bounded(item: dict[str, Any]) -> bool:
        return item.get("type") != "string" or "maxLength" in item or "enum" in item

    fields = every_field(spec_schema()["spec"], "spec")
    unbounded = [path for path, item in fields if not bounded(item) or not bounded(item.get("items", {}))]
    endless = [path for path, item in fields if item.get("type") == "array" and "maxItems" not in item]
    assert (unbounded, endless) == ([], [])


def test_every_number_of_the_spec_has_both_bounds() -> None:
    numbers = [(path, item) for path, item in every_field(spec_schema()["spec"], "spec") if item["type"] == "integer"]
    assert [path for path, item in numbers if "minimum" not in item or "maximum" not in item] == []
    assert numbers


def test_every_default_is_in_the_description_since_kubectl_explain_shows_none() -> None:
    fields = every_field(spec_schema()["spec"], "spec")
    scalars = [(path, item) for path, item in fields if item.get("default") and item["type"] != "object"]
    assert [path for path, item in scalars if f"Default: {item['default']}." not in item["description"]] == []
    assert scalars


def test_the_default_of_an_object_holds_those_of_its_members_since_rules_are_checked_before_defaulting() -> None:
    read = spec_schema()["spec"]["properties"]["source"]["properties"]["read"]
    assert read["default"] == {name: item["default"] for name, item in read["properties"].items()}
