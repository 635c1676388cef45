"""Debezium's outbox table, as the oracle's writer fills it, and services that delete each row at once."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.oracle import OutboxTable
from tests.support.oracle.session import JOURNAL

EVENT_TYPE = "OracleEvent"
DELETE_AT_ONCE = """
CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN DELETE FROM outbox WHERE id = NEW.id; RETURN NULL; END$$;
CREATE TRIGGER gone AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION gone();
"""
"""What many services do in the transaction that inserts: the log keeps the row, the table does not."""
LEAVE = "DROP TRIGGER gone ON outbox"


@dataclass(frozen=True, slots=True)
class DebeziumTable(OutboxTable):
    """The columns that the outbox event router expects; ``kind`` is the aggregate type, which names the topic.

    For the writer's small transactions: its bulk writes know the project's own table only.
    """

    kind: str = ""

    def ddl(self) -> str:
        """CREATE TABLE."""
        return f"""CREATE TABLE {self.qualified} (
            id uuid PRIMARY KEY,
            aggregatetype varchar(255) NOT NULL,
            aggregateid varchar(255) NOT NULL,
            type varchar(255) NOT NULL,
            payload jsonb
        )"""

    def insert(self) -> str:
        """As that of the project's own table. The row's id is `seq` from when there is one, and 0 before."""
        return f"""WITH journal AS ({JOURNAL})
            INSERT INTO {self.qualified} AS o (id, aggregatetype, aggregateid, type, payload)
            SELECT event_id, '{self.kind}', key, '{EVENT_TYPE}', payload::jsonb
            FROM unnest($2::uuid[], $3::text[], $4::text[]) WITH ORDINALITY AS r(event_id, key, payload, position)
            ORDER BY position
            RETURNING coalesce((to_jsonb(o) ->> 'seq')::bigint, 0) AS id"""
