"""CEL rules of the CRD, and the same rules for a manifest that no API server has seen."""

from typing import Any, NamedTuple


class Rule(NamedTuple):
    """One x-kubernetes-validations entry: a CEL expression that must hold, and what to say when it does not."""

    expression: str
    message: str


def rules(*entries: Rule) -> dict[str, Any]:
    """The JSON-schema extra that carries ``entries`` into the CRD."""
    return {"x-kubernetes-validations": [{"rule": entry.expression, "message": entry.message} for entry in entries]}


def check_rules(*checks: tuple[Rule, bool]) -> list[str]:
    """Messages of the rules whose check is False."""
    return [rule.message for rule, holds in checks if not holds]
