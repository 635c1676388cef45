"""From the headers column to Kafka headers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay.decisions.mapping import mapped_headers
from outboxrelay.decisions.unmappable import Unmappable


def test_texts_stay_as_they_are_and_scalars_become_json() -> None:
    text = '{"a": "x", "b": null, "c": 1.10, "d": true, "e": false, "f": 12345678901234567890, "g": ""}'
    assert mapped_headers(text) == [
        ("a", "x"), ("b", None), ("c", "1.10"), ("d", "true"), ("e", "false"), ("f", "12345678901234567890"), ("g", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["[]", "[1]", '"x"', "1", "null", "true", '[["a", "b"]]'])
def test_anything_but_an_object_cannot_be_mapped(text: str) -> None:
    with pytest.raises(Unmappable, match="must hold a JSON object"):
        mapped_headers(text)


@pytest.mark.parametrize("value", ["{}", "[]", '{"b": 1}', "[1]"])
def test_a_nested_value_cannot_be_mapped_and_the_header_is_named(value: str) -> None:
    with pytest.raises(Unmappable, match="header 'trace'"):
        mapped_headers(f'{{"ok": "x", "trace": {value}}}')


@given(st.dictionaries(st.text(st.characters(exclude_characters="\0")), st.text() | st.none()))
def test_any_object_of_texts_comes_through_whole(headers: dict[str, str | None]) -> None:
    assert mapped_headers(json.dumps(headers)) == list(headers.items())


@pytest.mark.parametrize("depth", [100, 1000, 10_000, 100_000])
def test_deep_nesting_is_the_rows_fault_and_not_a_crash(depth: int) -> None:
    for text in ('{"a": ' + "[" * depth + "]" * depth + "}", '{"a": ' * depth + "1" + "}" * depth):
        with pytest.raises(Unmappable):
            mapped_headers(text)


def test_a_name_that_would_be_cut_short_on_its_way_is_refused() -> None:
    with pytest.raises(Unmappable, match="NUL"):
        mapped_headers('{"a\\u0000b": "x"}')
    assert mapped_headers('{"a": "x\\u0000y"}') == [("a", "x\0y")]
