"""SQL of this package: texts from sql/*.sql, filled with quoted identifiers only. Values are always bound."""

import re
from functools import cache
from importlib.resources import files

from outboxrelay.adapters.postgres_table import Reading, TableShape
from outboxrelay.api.source import Table
from outboxrelay.decisions.batching import BYTE_BUDGET
from outboxrelay.decisions.rows import MAX_PAYLOAD_BYTES

LIGHT_BYTES = 4096
"""Payloads up to this size are read by the thousand without being added up: ten thousand of them are 40 MB."""

SETTLED = (
    "(age(t.xmin) > (SELECT age(pg_snapshot_xmin(pg_current_snapshot())::xid))"
    " OR age(t.xmin) <= (SELECT age(pg_snapshot_xmax(pg_current_snapshot())::xid)))"
)
"""A row whose transaction began to write before every one that is still open: row ids below its own cannot appear any
more, unless they were drawn before their transaction had written anything. A frozen row keeps its number, which 2^31
transactions later looks as if it were to come; a row that can be seen never is, so that one passes too. Both ages are
asked for once in a statement, not for each row."""


@cache
def sql(name: str) -> str:
    """The text of sql/<name>.sql."""
    return files("outboxrelay.adapters").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def quoted(identifier: str) -> str:
    """``identifier`` as PostgreSQL takes it literally."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a constant, whatever standard_conforming_strings says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class Statements:
    """Every statement for one table, written once per connection."""

    def __init__(self, reading: Reading, shape: TableShape, shards: int) -> None:
        table, layout = reading.table, reading.table.layout
        self._shape = shape
        self._shards = shards
        self._id = f"t.{quoted(layout.id)}"
        self._ids = "bigint[]" if shape.numeric_ids else "text[]::uuid[]"
        self._key = f"t.{quoted(layout.key)}::text" if layout.key else "NULL::text"
        self._topic = topic_expression(reading.template)
        pending = f"t.{quoted(layout.delivered_at)} IS NULL" if table.after_delivery == "Mark" else "true"
        event_id = quoted(layout.event_id) if layout.event_id else quoted(layout.id)
        name = f"{quoted(table.schema_)}.{quoted(table.name)}"
        self._fields = {
            "table": name,
            "id": quoted(layout.id),
            "ids": self._ids,
            "delivered_at": quoted(layout.delivered_at),
            "now": "now()" if shape.delivered_with_zone else "now() AT TIME ZONE 'UTC'",
            "pending": pending + (f" AND {SETTLED}" if reading.settled else ""),
            "there": pending,
            "id_text": "::bigint" if shape.numeric_ids else "::text",
            "columns": ", ".join(_columns(reading, shape, self._topic)),
            **_weights(reading),
            "order": order(table, shape),
            "from_floor": f"{self._id} >= $1::bigint" if shape.numeric_ids else "$1::bigint IS NOT NULL",
            "lock": "\n        FOR UPDATE OF t SKIP LOCKED" if reading.locking else "",
            "budget": BYTE_BUDGET,
            "largest": MAX_PAYLOAD_BYTES,
            "light": LIGHT_BYTES,
            "archived_event_id": f"coalesce(gone.{event_id}::text, gone.{quoted(layout.id)}::text)",
            "archived_key": f"gone.{quoted(layout.key)}::text" if layout.key else "NULL::text",
        }
        settle, row_id = sql(f"settle_{table.after_delivery.lower()}"), quoted(layout.id)
        self.settle = settle.format(**self._fields, delivered=f"{row_id} = ANY($1::{self._ids})")
        """Takes ids."""
        between = f"{row_id} BETWEEN $1 AND $2 AND {row_id} NOT IN (SELECT unnest($3::bigint[]))"
        spans = shape.numeric_ids and table.after_delivery != "Archive"
        self.settle_span = settle.format(**self._fields, delivered=between) if spans else None
        """Takes the lowest and the highest id and those between them that are to stay; None: only lists are taken."""
        self.read_rows = sql("read_rows").format(**self._fields)
        self.still_pending = sql("still_pending").format(**self._fields)
        self.snapshot = sql("snapshot").format(table=literal(name))

    @property
    def numeric_ids(self) -> bool:
        """Whether ids are integers."""
        return self._shape.numeric_ids

    def read(
        self,
        *,
        light: bool,
        gaps: bool = False,
        by_shard: bool,
        in_flight: bool,
        held_keys: bool,
        held_rows: bool,
        blocked: bool,
    ) -> str:
        """The read with only the parts that are needed, each with the next parameters; ``light`` for small rows.

        ``gaps``: ranges are read as well, which takes two lists, their lowest and their highest ids.
        """
        filters, number = "", 5 if gaps else 3
        # IN (SELECT unnest …) is hashed by every server version and keeps the order of the index.
        not_in_ids = _unless(f"{self._id} IN (SELECT unnest(${{n}}::{self._ids}))")
        # The upper end of the range whose lower end is the last one that is not above the id: a binary search.
        not_in_ranges = _unless(f"{self._id} <= (${{n}}::bigint[])[width_bucket({self._id}::bigint, ${{m}}::bigint[])]")
        for wanted, condition in (
            (by_shard, f"{self.shard} = ANY(${{n}}::integer[])"),
            (in_flight, not_in_ranges if self._shape.numeric_ids else not_in_ids),
            (held_keys, _unless(f"{self._key} IN (SELECT unnest(${{n}}::text[]))")),
            (held_rows, not_in_ids),
            (blocked, _unless(f"{self._topic} IN (SELECT unnest(${{n}}::text[]))")),
        ):
            if wanted:
                filters += "\n          AND " + condition.replace("{n}", str(number)).replace("{m}", str(number + 1))
                number += 2 if "{m}" in condition else 1
        found = sql("read_gaps" if gaps else "read_on").format(**self._fields, filters=filters)
        return sql("read_light" if light else "read").format(**self._fields, found=found)

    @property
    def shard(self) -> str:
        """The shard of a row. Only the server computes it, so that no two members can disagree."""
        without = f"{self._id}::bigint" if self._shape.numeric_ids else f"hashtextextended({self._id}::text, 0)"
        hashed = f'coalesce(hashtextextended({self._key} COLLATE "C", 0), {without})'
        return f"(({hashed} & 9223372036854775807) % {self._shards})::integer"


def _unless(condition: str) -> str:
    """A filter for rows of which ``condition`` is not true.

    Of <> the planner expects that nearly every row passes, as is so; of NOT that half of them do, and with two of those
    it sorts a whole table rather than follow the index.
    """
    return f"coalesce(({condition})::integer, 0) <> 1"


def order(table: Table, shape: TableShape) -> str:
    """The order of delivery. A uuid says nothing of it: time does, or else which transaction wrote first."""
    layout = table.layout
    if shape.numeric_ids:
        return f"t.{quoted(layout.id)}"
    if layout.created_at:
        return f"t.{quoted(layout.created_at)}, t.{quoted(layout.id)}"
    return "age(t.xmin) DESC, t.ctid"


def topic_expression(template: str | None) -> str:
    """The topic of a row by the template of spec.target.topicTemplate; NULL where one of its columns is."""
    if template is None:
        return "NULL::text"
    parts = re.split(r"\{([^{}]+)\}", template)
    texts = [literal(part) if number % 2 == 0 else f"t.{quoted(part)}::text" for number, part in enumerate(parts)]
    return "(" + " || ".join(text for text in texts if text != "E''") + ")"


def _columns(reading: Reading, shape: TableShape, topic: str) -> list[str]:
    """In the order of decisions.rows.Row, all but the size, and the tail only where there is one."""
    names = reading.table.layout
    row_id = f"t.{quoted(names.id)}"
    row_text = f"{row_id}::text"
    payload = f"t.{quoted(names.payload)}"
    created = f"t.{quoted(names.created_at)}"
    # A time that is infinite or before 1970 cannot be a Kafka timestamp; extract() reads one without a zone as UTC.
    milliseconds = f"CASE WHEN isfinite({created}) THEN greatest(0, extract(epoch FROM {created}) * 1000)::bigint END"
    fields = {
        "row_id": f"{row_id}::bigint" if shape.numeric_ids else row_text,
        "event_id": f"coalesce(t.{quoted(names.event_id)}::text, {row_text})" if names.event_id else row_text,
        "key": f"t.{quoted(names.key)}::text" if names.key else "NULL::text",
        "type": f"t.{quoted(names.type)}::text" if names.type else "NULL::text",
        "payload": payload if shape.binary_payload else f"{payload}::text",
        "ms": milliseconds if names.created_at else "NULL::bigint",
    }
    tail = {
        "headers": f"t.{quoted(names.headers)}::text" if names.headers else "NULL::text",
        "topic": topic,
        "partition": f"t.{quoted(names.partition)}::bigint" if names.partition else "NULL::bigint",
        "extras": _extras(reading),
    }
    if reading.has_tail:
        fields |= tail
    return [f"{expression} AS {name}" for name, expression in fields.items()]


def _weights(reading: Reading) -> dict[str, str]:
    """How much a row weighs beside its payload, and its tail as far as that is bounded."""
    if not reading.has_tail:
        return {"weight": "0", "size": "octet_length(payload)", "tail_whole": "", "tail_light": ""}
    weight = "(coalesce(octet_length(headers), 0) + coalesce(octet_length(array_to_string(extras, '')), 0))"
    # A size beside no payload says that the row was not read, so a row that has none has no size, unless its headers
    # are what was not read.
    size = f"CASE WHEN payload IS NULL AND {weight} <= {LIGHT_BYTES} THEN NULL"
    size += f" ELSE coalesce(octet_length(payload), 0) + {weight} END"

    def tail(most: int) -> str:
        within = f"CASE WHEN {weight} <= {most} THEN {{0}} END AS {{0}}"
        return f", {within.format('headers')}, topic, partition, {within.format('extras')}"

    whole, light = tail(MAX_PAYLOAD_BYTES), tail(LIGHT_BYTES)
    return {"weight": weight, "size": size, "tail_whole": whole, "tail_light": light}


def _extras(reading: Reading) -> str:
    traceparent = reading.table.layout.traceparent
    columns = ([traceparent] if traceparent else []) + list(reading.headers)
    if not columns:
        return "NULL::text[]"
    return "ARRAY[" + ", ".join(f"t.{quoted(column)}::text" for column in columns) + "]"
