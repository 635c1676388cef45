"""The fields of an OutboxRelay, from the schema that the API server has."""

from collections.abc import Iterator
from typing import Any

from outboxrelay.api.schema import custom_resource_definition
from tests.reference.markdown import code, table

Schema = dict[str, Any]
HEAD = """# Fields of an OutboxRelay

<!-- generated from operator/outboxrelay/api by make reference; do not edit -->

`kubectl explain outboxrelays.spec.source --recursive` says the same in a terminal. A field without a default may be
left out, unless it is *required*. A field that is not here is refused by `kubectl apply`."""
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)


def page() -> str:
    """The page: spec, then status, an object at a time."""
    whole = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [HEAD, "## Of the whole\n" + rules(whole)]
    for name in ("spec", "status"):
        parts += [section(path, part) for path, part in objects(whole["properties"][name], name)]
    return "\n\n".join(parts) + "\n"


def objects(part: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every object with fields below ``part``, itself first."""
    yield path, part
    for name, item in part["properties"].items():
        inner, suffix = (item["items"], "[]") if item.get("type") == "array" else (item, "")
        if "properties" in inner:
            yield from objects(inner, f"{path}.{name}{suffix}")


def section(path: str, part: Schema) -> str:
    """One object."""
    required = set(part.get("required", ()))
    rows = [
        (code(name), kind_of(item), "*required*" if name in required else default_of(item), described(item))
        for name, item in part["properties"].items()
    ]
    texts = [
        f"## {path}",
        part.get("description", ""),
        table(("Field", "Type", "Default", "Meaning"), rows),
        rules(part),
    ]
    return "\n\n".join(text for text in texts if text)


def kind_of(item: Schema) -> str:
    """The type in a word or two, or the values that there are."""
    if "enum" in item:
        return ", ".join(code(value) for value in item["enum"])
    if item.get("type") == "array":
        return f"list of {kind_of(item['items'])}"
    if "additionalProperties" in item:
        return f"map of {kind_of(item['additionalProperties'])}"
    return str(item.get("format") if item.get("format") == "date-time" else item.get("type", "any"))


def default_of(item: Schema) -> str:
    """The default of a scalar or of a list that is not empty; that of an object is its members'."""
    default = item.get("default")
    if default is None or isinstance(default, dict) or default == []:
        return ""
    return code(str(default).lower() if isinstance(default, bool) else default) if default != "" else '`""`'


def described(item: Schema) -> str:
    """The description, without the default that it repeats, and the limits."""
    text = item.get("description", "")
    text = text.removesuffix(f" Default: {item.get('default')}.")
    limits = [found for least, most, unit in BOUNDS if (found := bounds(item.get(least), item.get(most), unit))]
    if "pattern" in item:
        limits.append(f"matches {code(item['pattern'])}")
    sentence = "; ".join(limits)
    return " ".join(part for part in (text, f"{sentence[0].upper()}{sentence[1:]}." if sentence else "") if part)


def bounds(least: int | None, most: int | None, unit: str) -> str:
    """A range in words."""
    if most is None:
        return "" if least is None else f"at least {least:,}{unit}"
    return f"at most {most:,}{unit}" if least is None else f"{least:,} to {most:,}{unit}"


def rules(part: Schema) -> str:
    """What fields together must keep."""
    found = part.get("x-kubernetes-validations", [])
    return "\n".join(["Rules:", "", *(f"- {rule['message']}" for rule in found)]) if found else ""
