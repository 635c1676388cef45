"""The function by which producers write an event, in any language: sql/schema/publish.sql, filled for one outbox table.

Its arguments are the columns that topics are made of, then event_type, event_key, payload, headers, traceparent, then
other columns that the manifest sends. Tables without a column for one of them refuse it, rather than drop it.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from outboxrelay.adapters.postgres_statements import literal, quoted, sql
from outboxrelay.adapters.postgres_texts import indented, shown, tag_beside
from outboxrelay.api.layout import Layout
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.errors import InvalidInput

FIXED: Final = {
    "event_type": "text",
    "event_key": "text",
    "payload": "jsonb",
    "headers": "jsonb DEFAULT '{}'",
    "traceparent": "text DEFAULT NULL",
}
"""Arguments of every such function, with their types."""
OURS: Final = "outboxrelay_"
NAME_BYTES: Final = 63
SUFFIX: Final = "_publish"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the function takes besides FIXED: names of columns."""

    routing: tuple[str, ...]
    """Before the fixed ones: columns of the topic, which a row cannot do without."""
    others: tuple[str, ...]
    """After them, with NULL as default: headers from columns, and the partition."""

    @property
    def signature(self) -> dict[str, str]:
        """Name → type and default, in the function's order."""
        first, last = dict.fromkeys(self.routing, "text"), dict.fromkeys(self.others, "text DEFAULT NULL")
        return {**first, **FIXED, **last}


def publish_function(spec: OutboxRelaySpec) -> str:
    """CREATE FUNCTION for the table of ``spec``; raises InvalidInput where a column is named like an argument."""
    table, layout = spec.source.table, spec.source.table.layout
    place, name = f"{quoted(table.schema_)}.{quoted(table.name)}", function_name(table.name)
    arguments = arguments_of(spec)
    filled = _filled(layout, arguments)
    identified = layout.event_id or ""
    variables = [f"outboxrelay_id {place}.{quoted(identified or layout.id)}%TYPE" + _drawn(identified)]
    variables += [
        f"outboxrelay_{number} {place}.{quoted(column)}%TYPE := {value};"
        for number, (column, value) in enumerate(filled.items())
    ]
    columns = [*([quoted(identified)] if identified else []), *map(quoted, filled)]
    values = [*(["outboxrelay_id"] if identified else []), *(f"outboxrelay_{n}" for n in range(len(filled)))]
    returning = "" if identified else f"\n    RETURNING outboxrelay_row.{quoted(layout.id)} INTO outboxrelay_id"
    signature = arguments.signature
    names = "{" + ",".join('"' + re.sub(r'(["\\])', r"\\\1", item) + '"' for item in signature) + "}"
    return sql("schema/publish").format(
        shown=shown(table.qualified_name),
        select_hint="" if identified else f", SELECT on {shown(layout.id)}",
        call=shown(_example(table.schema_, name, arguments)),
        notes="".join(f"-- {line}\n" for line in _notes(layout)),
        tag=tag_beside(place, *filled, *signature, identified, layout.id),
        literal=literal(place),
        payload_literal=literal(layout.payload),
        schema_literal=literal(table.schema_),
        name_literal=literal(name),
        names_literal=literal(names),
        function=f"{quoted(table.schema_)}.{quoted(name)}",
        arguments=indented(",\n".join(f"{_argument(item)} {kind}" for item, kind in signature.items())),
        types=", ".join(kind.split()[0] for kind in signature.values()),
        variables=indented("\n".join(variables)),
        checks=indented("\n".join(_checks(layout, spec.target.null_payload == "Tombstone", table.qualified_name))),
        table=place,
        columns=", ".join(columns),
        values=", ".join(values),
        returning=returning,
    )


def function_name(table: str) -> str:
    """<table>_publish; of a name too long for that the beginning, and a digest that keeps two of them apart."""
    if len(table.encode()) + len(SUFFIX) <= NAME_BYTES:
        return table + SUFFIX
    digest = "_" + hashlib.sha256(table.encode()).hexdigest()[:8]
    return table.encode()[: NAME_BYTES - len(digest + SUFFIX)].decode(errors="ignore") + digest + SUFFIX


def arguments_of(spec: OutboxRelaySpec) -> Arguments:
    """What the manifest sends of each row that no fixed argument fills; raises InvalidInput, see publish_function."""
    layout = spec.source.table.layout
    known = {layout.id, layout.event_id, layout.key, layout.type, layout.payload, layout.headers, layout.created_at}
    known |= {layout.delivered_at, layout.traceparent}
    routing = [name for name in re.findall(r"\{([^{}]+)\}", spec.topic_template or "") if name not in known]
    sent = [header.column for header in spec.target.headers] + [layout.partition]
    others = [name for name in sent if name and name not in known and name not in routing]
    for name in (*routing, *others):
        if name in FIXED or name.startswith(OURS):
            raise InvalidInput(
                f"part publish: column {shown(name)} would be an argument named like one of the function's own "
                f"({', '.join(FIXED)}, {OURS}…): rename the column, or leave this part out"
            )
    return Arguments(tuple(dict.fromkeys(routing)), tuple(dict.fromkeys(others)))


def _filled(layout: Layout, arguments: Arguments) -> dict[str, str]:
    """Column → the expression that fills it."""
    headers = "headers"
    if layout.headers and not layout.traceparent:
        # The relay sends it from there under the same name.
        headers = (
            "CASE WHEN traceparent IS NULL THEN headers ELSE headers OPERATOR(pg_catalog.||) "
            "pg_catalog.jsonb_build_object('traceparent', traceparent) END"
        )
    fixed = {
        layout.type: "event_type",
        layout.key: "event_key",
        layout.payload: "payload",
        layout.headers: headers,
        layout.traceparent: "traceparent",
    }
    extras = {name: quoted(name) for name in (*arguments.routing, *arguments.others)}
    return {**{column: value for column, value in fixed.items() if column}, **extras}


def _drawn(identified: str) -> str:
    return " := pg_catalog.gen_random_uuid();" if identified else ";"


def _argument(name: str) -> str:
    return name if name in FIXED else quoted(name)


def _checks(layout: Layout, tombstones: bool, place: str) -> list[str]:
    """What would hold the key later, or be dropped unsaid, fails here in the producer's own transaction."""
    found = []
    if not tombstones:
        found += _refusal("payload IS NULL", f"the payload of an event for {place} is NULL; JSON null is 'null'::jsonb")
    if not layout.key:
        found += _refusal("event_key IS NOT NULL", f"{place} has no column for a key: name it in columns.key")
    if not layout.type:
        found += _refusal("event_type IS NOT NULL", f"{place} has no column for a type: name it in columns.type")
    if not layout.headers:
        wrong = "headers OPERATOR(pg_catalog.<>) '{}'::pg_catalog.jsonb"
        return [*found, *_refusal(wrong, f"{place} has no column for headers: name it in columns.headers")]
    found.append("headers := COALESCE(headers, '{}'::pg_catalog.jsonb);")
    object_, text = "'object'::pg_catalog.text", "pg_catalog.jsonb_typeof"
    found += _refusal(f"{text}(headers) OPERATOR(pg_catalog.<>) {object_}", "headers must be a JSON object")
    nested = (
        "EXISTS (SELECT FROM pg_catalog.jsonb_each(headers) AS h WHERE "
        f"{text}(h.value) OPERATOR(pg_catalog.=) ANY ('{{object,array}}'::pg_catalog.text[]))"
    )
    return found + _refusal(nested, "each header must be a text, a number, true, false or null")


def _refusal(condition: str, message: str) -> list[str]:
    told = literal(message)
    return [f"IF {condition} THEN", f"    RAISE invalid_parameter_value USING MESSAGE = {told};", "END IF;"]


def _notes(layout: Layout) -> list[str]:
    if layout.traceparent or layout.headers:
        return []
    return ["This table has no column for trace contexts (columns.traceparent) or headers: traceparent is left out."]


def _example(schema: str, name: str, arguments: Arguments) -> str:
    values = [*("'…'" for _ in arguments.routing), "'OrderPlaced'", "'order-7'", """'{"total": 12}'"""]
    return f"{quoted(schema)}.{quoted(name)}({', '.join(values)})"
