"""SQL of this package: texts from sql/*.sql, filled with quoted identifiers only. Values are always bound."""

from functools import cache
from importlib.resources import files

from outboxrelay.adapters.postgres_table import TableShape
from outboxrelay.api.source import Table


@cache
def sql(name: str) -> str:
    """The text of sql/<name>.sql."""
    return files("outboxrelay.adapters").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def quoted(identifier: str) -> str:
    """``identifier`` as PostgreSQL takes it literally."""
    return '"' + identifier.replace('"', '""') + '"'


class Statements:
    """The statements of one table, written once per connection."""

    def __init__(self, table: Table, shape: TableShape, shards: int) -> None:
        columns = table.layout
        self._fields = {
            "table": f"{quoted(table.schema_)}.{quoted(table.name)}",
            "id": quoted(columns.id),
            "delivered_at": quoted(columns.delivered_at),
            "now": "now()" if shape.delivered_with_zone else "now() AT TIME ZONE 'UTC'",
            "pending": f"t.{quoted(columns.delivered_at)} IS NULL" if table.after_delivery == "Mark" else "true",
            "columns": ", ".join(_columns(table, shape)),
        }
        self._key = f"t.{quoted(columns.key)}::text" if columns.key else "NULL::text"
        self._shards = shards
        self.settle = sql("settle_mark" if table.after_delivery == "Mark" else "settle_delete").format(**self._fields)
        self.read_rows = sql("read_rows").format(**self._fields)

    def read(self, *, by_shard: bool, in_flight: bool, held_keys: bool, held_rows: bool) -> str:
        """The read with only the exclusions that are needed, each with the next parameter."""
        row_id, filters, number = f"t.{self._fields['id']}", "", 3
        # NOT IN (SELECT unnest …) is hashed by every server version and keeps the order of the index.
        for wanted, condition in (
            (by_shard, f"{self.shard} = ANY(${{n}}::integer[])"),
            (in_flight, f"{row_id}::bigint NOT IN (SELECT unnest(${{n}}::bigint[]))"),
            (held_keys, f"({self._key} IS NULL OR {self._key} NOT IN (SELECT unnest(${{n}}::text[])))"),
            (held_rows, f"{row_id}::bigint NOT IN (SELECT unnest(${{n}}::bigint[]))"),
        ):
            if wanted:
                filters += "\n  AND " + condition.format(n=number)
                number += 1
        return sql("read").format(**self._fields, filters=filters)

    @property
    def shard(self) -> str:
        """The shard of a row. Only the server computes it, so that no two members can disagree."""
        row_id = f"t.{self._fields['id']}"
        hashed = f'coalesce(hashtextextended({self._key} COLLATE "C", 0), {row_id}::bigint)'
        return f"(({hashed} & 9223372036854775807) % {self._shards})::integer"


def _columns(table: Table, shape: TableShape) -> list[str]:
    """In the order of decisions.rows.Row."""
    names = table.layout
    row_id = f"t.{quoted(names.id)}"
    payload = f"t.{quoted(names.payload)}"
    event_id = f"coalesce(t.{quoted(names.event_id)}::text, {row_id}::text)" if names.event_id else f"{row_id}::text"
    created = f"t.{quoted(names.created_at)}"
    # A time that is infinite or before 1970 cannot be a Kafka timestamp; extract() reads one without a zone as UTC.
    milliseconds = f"CASE WHEN isfinite({created}) THEN greatest(0, extract(epoch FROM {created}) * 1000)::bigint END"
    return [
        f"{row_id}::bigint",
        event_id,
        f"t.{quoted(names.key)}::text" if names.key else "NULL::text",
        f"t.{quoted(names.type)}::text" if names.type else "NULL::text",
        payload if shape.binary_payload else f"{payload}::text",
        f"t.{quoted(names.headers)}::text" if names.headers else "NULL::text",
        milliseconds if names.created_at else "NULL::bigint",
        f"octet_length({payload}{'' if shape.binary_payload else '::text'})",
        "NULL::text",
        "NULL::integer",
        "NULL::text[]",
    ]
