"""The chart agrees with the package, with its own schema, and with what is written about it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from outboxrelay import __version__

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/outbox-relay-operator"


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return loaded


def objects_of(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if part.get("type") == "object":
        yield path, part
    for name, item in part.get("properties", {}).items():
        yield from objects_of(item, f"{path}.{name}")


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name != "resources":
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def defaults() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return loaded


def test_chart_image_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    label = re.search(r'image\.version="(.*)"', (ROOT / "Dockerfile").read_text())
    assert label is not None
    assert {chart["version"], chart["appVersion"], label[1], __version__} == {__version__}


def test_the_schema_knows_every_value_and_no_other() -> None:
    def known(part: dict[str, Any], values: Any, path: str) -> Iterator[str]:
        names = part.get("properties", {})
        if not names or not values or path == "resources.":
            yield path.removesuffix(".")
        else:
            assert set(values) <= set(names)
            for name, item in names.items():
                yield from known(item, values.get(name), f"{path}{name}.")

    # global is there for charts that have this one as a part.
    assert sorted(known(schema(), defaults(), "")) == sorted([*leaves(defaults()), "global"])


def test_the_schema_describes_every_value() -> None:
    def undescribed(part: dict[str, Any], path: str) -> Iterator[str]:
        for name, item in part.get("properties", {}).items():
            if not item.get("description"):
                yield f"{path}{name}"
            yield from undescribed(item, f"{path}{name}.")

    assert list(undescribed(schema(), "")) == []


def test_the_schema_refuses_what_it_does_not_know() -> None:
    free = {".global", ".affinity.nodeAffinity", ".affinity.podAffinity", ".affinity.podAntiAffinity"}
    free |= {".helmTest.delivery.target"}
    assert {path for path, part in objects_of(schema()) if "additionalProperties" not in part} == free


def test_the_installation_guide_tells_every_value_with_its_default() -> None:
    told = dict(re.findall(r"^\| `([A-Za-z.]+)` \| `(.*?)` \|", (ROOT / "docs/install.md").read_text(), re.MULTILINE))
    values = {}
    for path in leaves(defaults()):
        value: Any = defaults()
        for name in path.split("."):
            value = value[name]
        values[path] = value
    assert {path: yaml.safe_load(text) for path, text in told.items()} == values
