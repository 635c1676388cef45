"""outboxrelay sql: what is printed for whom, and what a user got wrong."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from outboxrelay import cli
from outboxrelay.adapters.postgres_grants import grants
from outboxrelay.adapters.postgres_schema import PARTS, column_types, indexes, script
from outboxrelay.adapters.postgres_texts import shown, tag_beside
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.cli import sql

GOOD = yaml.safe_load(Path("examples/relay.yaml").read_text())


def spec(*, topic_template: str | None = None, **parts: Any) -> OutboxRelaySpec:
    table = {"name": "outbox", **parts.pop("table", {})}
    target = {"bootstrapServers": ["k:9092"], **parts.pop("target", {})}
    if topic_template:
        target |= {"topicTemplate": topic_template, "allowedTopics": ["*"]}
    elif "topic" not in target and table.get("preset") != "Debezium":
        target["topic"] = "t"
    source = {"database": {"uriSecretRef": {"name": "db", "key": "uri"}}, "table": table, **parts.pop("source", {})}
    return OutboxRelaySpec.model_validate({"source": source, "target": target, **parts})


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["outboxrelay", "sql", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


PRINTS = {
    "the schema alone": ([], ["schema"]),
    "the schema and the grants": (["--table", "outbox", "--role", "r"], ["schema", "grants"]),
    "one part": (["--table", "outbox", "--part", "doorbell"], ["doorbell"]),
    "a part and the grants": (["--table", "outbox", "--part", "table", "--role", "r"], ["table", "grants"]),
    "parts in the order of running": (["--part", "archive", "--part", "schema"], ["schema", "archive"]),
    "all": (
        ["--table", "s.outbox", "--part", "all", "--role", "r"],
        [p for p in PARTS if p not in ("archive", "inbox")],
    ),
    "the inbox": (["--part", "inbox"], ["inbox"]),
}


@pytest.mark.parametrize("case", PRINTS)
def test_the_parts_that_are_asked_for_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, parts = PRINTS[case]
    code, out, _ = run(monkeypatch, capsys, *arguments, "-o", "json")
    assert code == 0
    found = json.loads(out)
    assert [item["part"] for item in found] == parts
    _, text, _ = run(monkeypatch, capsys, *arguments)
    assert text == "\n".join(item["sql"] for item in found)


def test_a_manifest_that_archives_brings_the_archive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "relay.yaml"
    GOOD["spec"]["source"]["table"]["afterDelivery"] = "Archive"
    file.write_text(yaml.safe_dump(GOOD))
    code, out, _ = run(monkeypatch, capsys, "--config", str(file), "--role", "orders relay")
    assert code == 0
    assert "CREATE TABLE IF NOT EXISTS outboxrelay.archive " in out
    assert 'GRANT INSERT ON outboxrelay.archive TO "orders relay";' in out


WRONG = {
    "no file": (["--config", "/nowhere/relay.yaml"], "No such file"),
    "both": (["--config", "x", "--table", "y"], "give one of them"),
    "no table": (["--part", "doorbell"], "part doorbell is about one table"),
    "grants of nothing": (["--role", "r"], "part grants is about one table"),
    "grants for nobody": (["--table", "t", "--part", "grants"], "say for whom with --role NAME"),
    "three names": (["--table", "a.b.c"], "write name or schema.name"),
    "an empty name": (["--table", "a."], "write name or schema.name"),
    "a quote": (["--table", 'a"b'], "write name or schema.name"),
    "a long name": (["--table", "x" * 64], "1 to 63 bytes"),
    "an empty role": (["--table", "t", "--role", ""], "1 to 63 bytes"),
    "everybody": (["--table", "t", "--role", "public"], "PostgreSQL reserves that name"),
    "a part that is none": (["--part", "tables"], "tables"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, words = WRONG[case]
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(
    ("text", "names"),
    [("outbox", ("public", "outbox")), ("shop.outbox", ("shop", "outbox")), ('"a.b"."c""d"', ("a.b", 'c"d')),
     (" Shop . Outbox ", ("Shop", "Outbox"))],
)  # fmt: skip
def test_table_names_are_taken_literally(text: str, names: tuple[str, str]) -> None:
    assert sql.table_names(text) == names


HOSTILE = "a\"; DROP TABLE x; --\n\r\u2028$outboxrelay$\\'{0}:b"


def test_no_name_becomes_a_statement() -> None:
    hostile = spec(table={"schema": HOSTILE, "name": HOSTILE, "columns": {"key": HOSTILE}})
    for part in PARTS:
        text = script(part, hostile, HOSTILE).sql
        # What is left when constants, quoted names, dollar quotes and comments are taken out holds nothing of the name.
        tag = re.search(r"\$(outboxrelay\d+)\$", text)
        if tag:
            text = re.sub(rf"\${tag[1]}\$.*?\${tag[1]}\$", "", text, flags=re.DOTALL)
        bare = re.sub(r'"(?:[^"]|"")*"', "", "\n".join(line for line in text.split("\n") if not line.startswith("--")))
        assert "DROP TABLE x" not in bare, part


@given(st.text())
def test_a_name_in_a_comment_stays_in_its_line(name: str) -> None:
    assert len(shown(name).splitlines()) <= 1


@given(st.text(alphabet="$outboxrelay12"))
def test_no_text_ends_the_dollar_quote_around_it(text: str) -> None:
    assert f"${tag_beside(text)}$" not in text


GRANTS = {
    "Delete": (spec(), {"SELECT", "DELETE"}),
    "Mark": (spec(table={"afterDelivery": "Mark"}), {"SELECT", "UPDATE"}),
    "Mark with retention": (spec(table={"afterDelivery": "Mark", "retentionSeconds": 60}),
                            {"SELECT", "UPDATE", "DELETE"}),
    "Archive": (spec(table={"afterDelivery": "Archive"}), {"SELECT", "DELETE"}),
    "None": (spec(ordering={"mode": "None"}), {"SELECT", "DELETE", "UPDATE"}),
    "Mark, None": (spec(table={"afterDelivery": "Mark"}, ordering={"mode": "None"}), {"SELECT", "UPDATE"}),
    "Mark, Quarantine": (spec(table={"afterDelivery": "Mark"}, poison={"action": "Quarantine"}),
                         {"SELECT", "UPDATE", "DELETE"}),
}  # fmt: skip


@pytest.mark.parametrize("case", GRANTS)
def test_a_feature_that_is_not_used_is_not_granted(case: str) -> None:
    asked, wanted = GRANTS[case]
    found = re.findall(r'^GRANT ([A-Z]+)(?: \(.*?\))? ON "public"."outbox" TO', grants(asked, "r"), re.MULTILINE)
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_only_columns_that_are_used_can_be_read() -> None:
    columns = {"headers": "meta", "eventId": "", "traceparent": "trace"}
    header = {"headers": [{"name": "x", "column": "tenant"}]}
    text = grants(spec(table={"columns": columns}, target=header, topic_template="{region}.{region}"), "r")
    wanted = '"id", "aggregate_id", "event_type", "payload", "meta", "created_at", "trace", "tenant", "region"'
    assert f'SELECT ({wanted}) ON "public"."outbox"' in text
    assert 'SELECT ON "public"."outbox"' in grants(spec(poison={"action": "Quarantine"}), "r")


def test_a_table_has_the_columns_and_indexes_that_its_spec_uses() -> None:
    assert list(column_types(spec())) == ["id", "event_id", "aggregate_id", "event_type", "payload", "created_at"]
    assert indexes(spec(), "t") == []
    debezium = column_types(spec(table={"preset": "Debezium"}))
    assert debezium["id"].startswith("uuid PRIMARY KEY")
    assert debezium["aggregatetype"] == "text NOT NULL"
    marked = spec(table={"afterDelivery": "Mark", "retentionSeconds": 60})
    assert column_types(marked)["delivered_at"] == "timestamptz"
    assert [text.split('"')[1] for text in indexes(marked, "t")] == ["outbox_pending", "outbox_delivered"]
    timed = spec(table={"preset": "Debezium", "columns": {"createdAt": "at"}})
    assert indexes(timed, "t") == ['CREATE INDEX IF NOT EXISTS "outbox_order" ON t ("at", "id")']
    long = spec(table={"name": "é" * 31, "afterDelivery": "Mark"})
    assert len(indexes(long, "t")[0].split('"')[1].encode()) <= 63
