"""Whether a table can be used as the spec says: found, its columns and their types, and what this user may do.

Asked at every connect, because a failover may lead to another server, and a migration to another table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outboxrelay.api.names import Reason
from outboxrelay.api.source import Table
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.errors import SourceFault

INTEGERS = ("smallint", "integer", "bigint")
IDS = (*INTEGERS, "uuid")
IDS_SHOWN = ("bigint", "integer", "smallint", "uuid")
TEXTS = ("jsonb", "json", "text", "character varying", "bytea")
TIMES = ("timestamp with time zone", "timestamp without time zone")
JSON = ("json", "jsonb")
OLDEST_SERVER = 13


@dataclass(frozen=True, slots=True)
class TableShape:
    """What the statements must know of the table."""

    binary_payload: bool
    delivered_with_zone: bool
    numeric_ids: bool = True
    """False: ids are of type uuid, and travel as texts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a spec decides how its table is read."""

    table: Table
    template: str | None = None
    """spec.target.topicTemplate, or the preset's."""
    headers: tuple[str, ...] = ()
    """Columns of spec.target.headers."""
    settled: bool = False
    """visibility: Settled."""
    locking: bool = False
    """ordering.mode: None."""

    @property
    def has_tail(self) -> bool:
        """Whether rows have headers, topics or partitions of their own."""
        layout = self.table.layout
        return bool(layout.headers or layout.partition or layout.traceparent or self.headers or self.template)


def reading_of(spec: OutboxRelaySpec) -> Reading:
    """How the table of ``spec`` is read."""
    return Reading(
        table=spec.source.table,
        template=spec.topic_template,
        headers=tuple(header.column for header in spec.target.headers),
        settled=spec.source.read.visibility == "Settled",
        locking=spec.ordering.mode == "None",
    )


Description = Mapping[str, Mapping[str, Any]]
"""Column name → a row of sql/describe_table.sql."""


def check_server(major: int, described: Mapping[str, Any]) -> None:
    """Raise SourceFault unless this server is new enough and accepts writes."""
    if major < OLDEST_SERVER:
        message = f"PostgreSQL {major} is not supported: the relay needs {OLDEST_SERVER} or newer"
        raise SourceFault(Reason.UNSUPPORTED_SERVER, message)
    if described["encoding"] == "SQL_ASCII":
        message = "the database's encoding is SQL_ASCII, so a text may hold anything: the relay needs UTF8 or another"
        raise SourceFault(Reason.UNSUPPORTED_SERVER, message)
    if described["recovering"]:
        raise SourceFault(Reason.READ_ONLY, "the server is a standby (in recovery); connect to the primary")
    if described["read_only"]:
        raise SourceFault(Reason.READ_ONLY, "the server or the user is set to default_transaction_read_only")


def table_not_found(table: Table, similar: list[str]) -> SourceFault:
    """The fault of a table that is not there."""
    hint = f"; did you mean {', '.join(similar)}?" if similar else ""
    return SourceFault(Reason.TABLE_NOT_FOUND, f"table {table.qualified_name} not found{hint}")


def check_table(reading: Reading, found: Description, role: str) -> TableShape:
    """The table's shape; raises SourceFault that names the first thing that does not fit."""
    table = reading.table
    used = used_columns(reading)
    for field, (name, types) in used.items():
        if name not in found:
            raise _missing(table, field, name, found)
        kind = found[name]["type"]
        if types and kind not in types:
            raise _mistyped(table, field, name, kind, types)
    _check_privileges(reading, found, role, [name for name, _ in used.values()])
    delivered = found.get(table.layout.delivered_at)
    return TableShape(
        binary_payload=found[table.layout.payload]["type"] == "bytea",
        delivered_with_zone=delivered is None or delivered["type"] != TIMES[1],
        numeric_ids=found[table.layout.id]["type"] in INTEGERS,
    )


def used_columns(reading: Reading) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Field of the spec → column and the types it may have (none: any)."""
    table = reading.table
    columns = table.layout
    wanted: dict[str, tuple[str, tuple[str, ...]]] = {
        "id": (columns.id, IDS),
        "eventId": (columns.event_id, ()),
        "key": (columns.key, ()),
        "type": (columns.type, ()),
        "payload": (columns.payload, TEXTS),
        "headers": (columns.headers, JSON),
        "createdAt": (columns.created_at, TIMES),
    }
    if table.after_delivery == "Mark":
        wanted["deliveredAt"] = (columns.delivered_at, TIMES)
    wanted["partition"] = (columns.partition, INTEGERS)
    wanted["traceparent"] = (columns.traceparent, ("text", "character varying"))
    wanted = {f"spec.source.table.columns.{field}": entry for field, entry in wanted.items()}
    wanted |= {f"spec.target.headers[{number}].column": (name, ()) for number, name in enumerate(reading.headers)}
    for name in re.findall(r"\{([^{}]+)\}", reading.template or ""):
        wanted[f"spec.target.topicTemplate {{{name}}}"] = (name, ())
    return {field: entry for field, entry in wanted.items() if entry[0]}


def _missing(table: Table, field: str, name: str, found: Description) -> SourceFault:
    has = ", ".join(list(found)[:20])
    optional = field.startswith("spec.source") and not field.endswith((".id", ".payload", ".deliveredAt"))
    none = ', or "" if there is none' if optional else ""
    message = f'column "{name}" not found in {table.qualified_name} (it has {has}): '
    return SourceFault(Reason.SCHEMA_MISMATCH, f"{message}set {field}{none}")


def _mistyped(table: Table, field: str, name: str, kind: str, types: tuple[str, ...]) -> SourceFault:
    message = f'column "{name}" of {table.qualified_name} is {kind}, but {field} must be {" or ".join(types)}'
    if field.endswith("columns.id"):
        message += ": the order of delivery follows it; add a column bigint GENERATED ALWAYS AS IDENTITY"
    return SourceFault(Reason.SCHEMA_MISMATCH, message)


def _check_privileges(reading: Reading, found: Description, role: str, used: list[str]) -> None:
    table = reading.table
    columns = table.layout
    place, grantee = table.qualified_name, f'"{role}"'
    if not found[columns.id]["schema_usage"]:
        raise _denied(f"GRANT USAGE ON SCHEMA {table.schema_} TO {grantee}")
    if not all(found[name]["can_select"] for name in used):
        raise _denied(f"GRANT SELECT ON {place} TO {grantee}")
    if table.after_delivery != "Mark" and not found[columns.id]["can_delete"]:
        raise _denied(f"GRANT DELETE ON {place} TO {grantee}")
    if table.after_delivery == "Mark" and not found[columns.delivered_at]["can_update"]:
        raise _denied(f'GRANT UPDATE ("{columns.delivered_at}") ON {place} TO {grantee}')

    if reading.locking and not any(column["can_update"] for column in found.values()):
        raise _denied(f'GRANT UPDATE ("{columns.id}") ON {place} TO {grantee}')


def _denied(grant: str) -> SourceFault:
    return SourceFault(Reason.PERMISSION_DENIED, f"the user lacks a privilege: {grant}")
