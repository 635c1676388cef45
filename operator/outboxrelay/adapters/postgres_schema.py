"""The SQL that a database administrator runs for a relay: texts from sql/schema/*.sql, filled for one outbox table.

Nothing here connects to a database. Names are quoted, and what they do to comments or DO blocks is undone, so that no
name of a table, a column or a role can become a statement.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from outboxrelay.adapters.postgres_grants import grants
from outboxrelay.adapters.postgres_publish import publish_function
from outboxrelay.adapters.postgres_statements import literal, quoted, sql
from outboxrelay.adapters.postgres_table import reading_of, used_columns
from outboxrelay.adapters.postgres_texts import indented, shown, tag_beside
from outboxrelay.api.spec import OutboxRelaySpec

Part = Literal["schema", "archive", "table", "publish", "autovacuum", "doorbell", "inbox", "grants"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""In the order in which they are to be run."""

NAME_BYTES = 63
NOT_NULL = ("id", "type", "payload", "createdAt")


@dataclass(frozen=True, slots=True)
class Script:
    """One part, ready for psql; running it again changes nothing."""

    part: Part
    sql: str


def script(part: Part, spec: OutboxRelaySpec, role: str | None) -> Script:
    """The text of ``part`` for the relay that ``spec`` describes; grants are for ``role``, which they need."""
    if part in ("schema", "archive", "inbox"):
        return Script(part, sql(f"schema/{part}"))
    if part == "grants":
        if role is None:
            raise ValueError("grants need a role")
        return Script(part, grants(spec, role))
    if part == "publish":
        return Script(part, publish_function(spec))
    table = spec.source.table
    place = f"{quoted(table.schema_)}.{quoted(table.name)}"
    if part == "table":
        return Script(part, outbox_table(spec, place))
    tag, constant = tag_beside(place), literal(place)
    text = sql(f"schema/{part}").format(table=place, shown=shown(table.qualified_name), tag=tag, literal=constant)
    return Script(part, text)


def outbox_table(spec: OutboxRelaySpec, place: str) -> str:
    """CREATE TABLE with the columns that ``spec`` names, and the indexes that the relay's statements use."""
    table = spec.source.table
    lines = [f"{quoted(name)} {kind}" for name, kind in column_types(spec).items()]
    return sql("schema/outbox_table").format(
        hints="".join(f"-- {line}\n" for line in _hints(spec)),
        schema=quoted(table.schema_),
        table=place,
        columns=indented(",\n".join(lines)),
        indexes="".join(f"{statement};\n" for statement in indexes(spec, place)),
    )


def column_types(spec: OutboxRelaySpec) -> dict[str, str]:
    """Column → its type and constraints, in the order of used_columns; the first use of a column decides."""
    table = spec.source.table
    fields = {field.rpartition(".")[2]: name for field, (name, _) in used_columns(reading_of(spec)).items()}
    by_uuid = _by_uuid(spec)
    known = {
        "id": "uuid PRIMARY KEY DEFAULT gen_random_uuid()" if by_uuid else
              "bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY",
        "eventId": "uuid NOT NULL DEFAULT gen_random_uuid()",
        "type": "text NOT NULL",
        "payload": "jsonb" if spec.target.null_payload == "Tombstone" else "jsonb NOT NULL",
        "headers": "jsonb",
        # Of rows of one transaction only the clock tells the order, where no id does.
        "createdAt": f"timestamptz NOT NULL DEFAULT {'clock_timestamp' if by_uuid else 'now'}()",
        "deliveredAt": "timestamptz",
        "partition": "integer",
    }  # fmt: skip
    found: dict[str, str] = {}
    for field, name in fields.items():
        routed = field.startswith("topicTemplate")
        found.setdefault(name, known.get(field, "text NOT NULL" if routed else "text"))
    if table.after_delivery == "Mark":
        found.setdefault(table.layout.delivered_at, "timestamptz")
    return found


def indexes(spec: OutboxRelaySpec, place: str) -> list[str]:
    """CREATE INDEX statements; none where the primary key is all that reads need."""
    table, columns = spec.source.table, spec.source.table.layout
    by_time = _by_uuid(spec) and columns.created_at
    order = f"{quoted(columns.created_at)}, {quoted(columns.id)}" if by_time else quoted(columns.id)
    delivered = quoted(columns.delivered_at)
    found = []
    if table.after_delivery == "Mark":
        found.append(_index(table.name, "pending", place, order, f"{delivered} IS NULL"))
        if table.retention_seconds is not None:
            found.append(_index(table.name, "delivered", place, delivered, f"{delivered} IS NOT NULL"))
    elif by_time:
        found.append(_index(table.name, "order", place, order, ""))
    return found


def _index(table: str, suffix: str, place: str, columns: str, where: str) -> str:
    # Cut here: where the server cuts names, it would not find the index again when this runs twice.
    stem = table.encode()[: NAME_BYTES - len(suffix) - 1].decode(errors="ignore")
    condition = f" WHERE {where}" if where else ""
    return f"CREATE INDEX IF NOT EXISTS {quoted(f'{stem}_{suffix}')} ON {place} ({columns}){condition}"


def _by_uuid(spec: OutboxRelaySpec) -> bool:
    """Whether the row's id is the event's id too, as in Debezium's layout: a uuid, then."""
    columns = spec.source.table.layout
    return columns.event_id == columns.id


def _hints(spec: OutboxRelaySpec) -> list[str]:
    """What a table needs that this script cannot decide."""
    table, columns = spec.source.table, spec.source.table.layout
    hints = [
        "Keep the identity at CACHE 1: with more, each session draws ids in advance, and ids say nothing of time.",
    ]
    if _by_uuid(spec):
        hints = [
            "The id is a uuid: it says nothing of time, so the order of a key is best effort. Add a column bigint",
            "GENERATED ALWAYS AS IDENTITY and name it in columns.id where order matters.",
        ]
        if not columns.created_at:
            hints.append("Without columns.createdAt rows come in the order in which their transactions began to write.")
    if table.after_delivery == "Mark":
        hints += [
            "On a table that is large already make the indexes beforehand, under the same names, with",
            "CREATE INDEX CONCURRENTLY: made here they keep writers waiting.",
        ]
    return [
        *hints,
        "A partitioned table works too: partition it by range of the id, which reads and settles can prune by; with",
        "any other key each read looks into every partition. Run part autovacuum again when partitions were added.",
    ]
