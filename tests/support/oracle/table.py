"""The outbox table that the oracle writes to; the column names are the defaults of spec.source.table."""

from dataclasses import dataclass
from typing import Literal

from .session import JOURNAL

PayloadKind = Literal["jsonb", "json", "text", "bytea"]


def quoted(identifier: str) -> str:
    """An SQL identifier, taken literally."""
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class OutboxTable:
    """Name and shape of the table, and the statements that need them."""

    name: str = "outbox"
    schema: str = "public"
    payload: PayloadKind = "jsonb"
    keyed: bool = True
    """False: rows have no key (NULL), and no order among them."""

    @property
    def qualified(self) -> str:
        """schema.name, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def ddl(self) -> str:
        """CREATE TABLE."""
        return f"""CREATE TABLE {self.qualified} (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id uuid NOT NULL DEFAULT gen_random_uuid(),
            aggregate_id text,
            event_type text NOT NULL,
            payload {self.payload} NOT NULL,
            headers jsonb,
            created_at timestamptz NOT NULL DEFAULT now(),
            delivered_at timestamptz
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, fillfactor = 100)"""

    def insert(self) -> str:
        """Inserts one row for each element of $2 event ids, $3 keys, $4 payload texts, in that order; $1: journal."""
        return f"""WITH journal AS ({JOURNAL})
            INSERT INTO {self.qualified} (event_id, aggregate_id, event_type, payload)
            SELECT event_id, key, 'OracleEvent', {self._cast("payload")}
            FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS r(event_id, key, payload, position)
            ORDER BY position
            RETURNING id"""

    def insert_series(self) -> str:
        """Inserts $2 rows, round robin over $3 keys whose last numbers are $4, each with the filler $5; $1: journal."""
        text = """json_build_object('key', key, 'number', number, 'filler', $5::text)::text"""
        return f"""WITH journal AS ({JOURNAL})
            INSERT INTO {self.qualified} (aggregate_id, event_type, payload)
            SELECT key, 'OracleEvent', {self._cast(text)}
            FROM (
                SELECT i, ($3::text[])[1 + i % cardinality($3::text[])] AS key,
                       ($4::bigint[])[1 + i % cardinality($3::text[])] + 1 + i / cardinality($3::text[]) AS number
                FROM generate_series(0, $2::integer - 1) AS i
            ) AS series
            ORDER BY i
            RETURNING id, event_id::text, aggregate_id"""

    def _cast(self, text: str) -> str:
        return f"convert_to({text}, 'UTF8')" if self.payload == "bytea" else f"({text})::{self.payload}"
