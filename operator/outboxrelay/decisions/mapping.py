"""From an outbox row to Kafka headers. What cannot be mapped says why, in words for the person who wrote the row."""

import json
from typing import Any

Header = tuple[str, str | bytes | None]


class Unmappable(ValueError):
    """The row can never be sent as it is."""


def mapped_headers(text: str) -> list[Header]:
    """Headers from the text of a JSON object: texts as they are, null as a null value, other scalars as JSON."""
    members = json.loads(text, object_pairs_hook=list, parse_float=_Literal, parse_int=_Literal)
    if not isinstance(members, list) or (members and not isinstance(members[0], tuple)) or _is_array(text):
        raise Unmappable("the headers column must hold a JSON object")
    return [(name, _value(name, value)) for name, value in members]


class _Literal(str):
    """A number as it was written: 1.10 stays 1.10."""

    __slots__ = ()


def _is_array(text: str) -> bool:
    return text.lstrip()[:1] == "["


def _value(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise Unmappable(f"header {name[:80]!r} must be a text, a number, true, false or null, not an object or an array")
