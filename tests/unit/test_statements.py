"""The texts of the statements: what is quoted, and what each spec reads."""

import re

import pytest

from outboxrelay.adapters.postgres_statements import Statements, literal, order, quoted, sql, topic_expression
from outboxrelay.adapters.postgres_table import Reading, TableShape
from outboxrelay.api.source import Columns, Table

HOSTILE = 'a"; DROP TABLE "x'
NUMBERS = TableShape(binary_payload=False, delivered_with_zone=True)
UUIDS = TableShape(binary_payload=False, delivered_with_zone=True, numeric_ids=False)


def statements(reading: Reading, shape: TableShape = NUMBERS) -> Statements:
    return Statements(reading, shape, 16)


def read(found: Statements, *wanted: str, light: bool = False) -> str:
    names = ("by_shard", "in_flight", "held_keys", "held_rows", "blocked")
    return found.read(light=light, **{name: name in wanted for name in names})


@pytest.mark.parametrize(
    ("template", "expression"),
    [
        (None, "NULL::text"),
        ("{topic}", '(t."topic"::text)'),
        ("orders.{region}", """(E'orders.' || t."region"::text)"""),
        ("{a}{b}", '(t."a"::text || t."b"::text)'),
        ("x.{a}.y.{b}.z", """(E'x.' || t."a"::text || E'.y.' || t."b"::text || E'.z')"""),
        ("{" + HOSTILE + "}", '(t."a""; DROP TABLE ""x"::text)'),
    ],
)
def test_a_template_becomes_an_expression_that_is_null_where_a_column_is(template: str | None, expression: str) -> None:
    assert topic_expression(template) == expression


def test_literals_and_identifiers_end_where_they_shall() -> None:
    assert literal("it's \\ this") == "E'it''s \\\\ this'"
    assert quoted('a"b') == '"a""b"'


def test_a_table_without_anything_special_is_read_without_a_tail() -> None:
    text = re.sub(r"--.*", "", read(statements(Reading(Table(name="outbox"))), light=True))
    assert "headers" not in text
    assert "topic" not in text
    assert "xmin" not in text


def test_every_column_of_a_spec_is_read_and_quoted_whatever_it_is_called() -> None:
    names = [f'{name}"' for name in Columns.model_fields]
    columns = Columns(**dict(zip(Columns.model_fields, names, strict=True)))
    reading = Reading(
        Table(name='t"', schema_='s"', columns=columns, after_delivery="Mark"), template='{region"}', headers=('h"',)
    )
    found = statements(reading)
    for text in (read(found), read(found, light=True), found.read_rows):
        for name in (*names, 'region"', 'h"'):
            assert f"t.{quoted(name)}" in text
        assert '"s"""."t"""' in text
    assert f"SET {quoted('delivered_at' + chr(34))} = now()" in found.settle


@pytest.mark.parametrize("shape", [NUMBERS, UUIDS])
def test_every_exclusion_has_parameters_of_its_own(shape: TableShape) -> None:
    found = statements(Reading(Table(name="outbox"), template="{topic}"), shape)
    text = read(found, "by_shard", "in_flight", "held_keys", "held_rows", "blocked")
    numbers = sorted({int(number) for number in re.findall(r"\$(\d+)", text)})
    # Floor, limit, shards, what is in flight (two lists as ranges), held keys, held rows, topics.
    assert numbers == list(range(1, 9 if shape.numeric_ids else 8))


def test_uuids_follow_the_time_or_else_the_transaction() -> None:
    timed, timeless = Table(name="o"), Table(name="o", columns=Columns(created_at=""))
    assert order(timed, NUMBERS) == 't."id"'
    assert order(timed, UUIDS) == 't."created_at", t."id"'
    assert order(timeless, UUIDS) == "age(t.xmin) DESC, t.ctid"


def test_settled_rows_are_asked_for_only_where_the_spec_does() -> None:
    settled, committed = (statements(Reading(Table(name="o"), settled=wanted)) for wanted in (True, False))
    assert "pg_snapshot_xmin" in read(settled)
    assert "pg_snapshot_xmin" not in settled.read_rows, "a held row that somebody mends is not gone"
    assert "pg_snapshot_xmin" not in settled.still_pending
    assert "pg_snapshot_xmin" not in settled.settle, "what was delivered is settled whoever is still writing"
    assert "pg_snapshot_xmin" not in read(committed)


def test_no_text_is_left_unfilled() -> None:
    for after in ("Delete", "Mark", "Archive"):
        found = statements(Reading(Table(name="o", after_delivery=after), locking=True, template="{t}"))
        for text in (found.settle, found.settle_span or "", found.read_rows, read(found, "by_shard", "blocked")):
            code = re.sub(r"--.*", "", text)
            assert not re.search(r"\{\w+\}", code)


def test_an_unknown_text_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        sql("no such statement")
