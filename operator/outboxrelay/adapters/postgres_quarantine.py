"""What people do with rows in quarantine: look, send again, skip, drop. An action and its audit are one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from outboxrelay.adapters.postgres_poison import quarantine_statement
from outboxrelay.adapters.postgres_statements import quoted
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.errors import InvalidInput

LIST = """
SELECT id, relay_name, source_table, row_id, event_id, key, reason, message, attempts, quarantined_at, state,
       resolved_at, resolved_by, note
FROM outboxrelay.quarantine WHERE {where} ORDER BY id LIMIT {limit}
"""
HELD = """
SELECT relay_name, row_id, event_id, key, reason, message, finished AS attempts, first_at, last_at
FROM outboxrelay.attempts WHERE reason IS NOT NULL AND ($1::text IS NULL OR relay_name = $1)
     AND ($2::text IS NULL OR key = $2) AND ($3::text IS NULL OR reason = $3) ORDER BY first_at LIMIT $4
"""
CHOOSE = """
SELECT id, source_table, "row" FROM outboxrelay.quarantine WHERE {where} ORDER BY id FOR UPDATE
"""
EARLIER = """
SELECT q.id, q.key FROM outboxrelay.quarantine q JOIN outboxrelay.quarantine mine ON mine.relay = q.relay
     AND mine.source_table = q.source_table AND mine.key = q.key
WHERE mine.id = ANY($1::bigint[]) AND q.state = 'Quarantined' AND q.id < mine.id AND q.id <> ALL($1::bigint[])
ORDER BY q.id LIMIT 1
"""
TABLE = """
SELECT n.nspname, c.relname,
       array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = to_regclass($1) GROUP BY 1, 2
"""
RESOLVE = """
UPDATE outboxrelay.quarantine
SET state = $2, resolved_at = now(), resolved_by = session_user, note = coalesce($3, note),
    "row" = CASE WHEN $2 = 'Dropped' THEN 'null'::json ELSE "row" END
WHERE id = ANY($1::bigint[]) AND state = 'Quarantined' RETURNING relay, relay_name
"""
AUDIT = """
INSERT INTO outboxrelay.quarantine_audit (action, relay, relay_name, ids, filter, rows, note)
SELECT $1, relay, min(relay_name), array_agg(id ORDER BY id), $3, count(*)::integer, $4
FROM outboxrelay.quarantine WHERE id = ANY($2::bigint[]) GROUP BY relay
"""
STATES = {"replay": "Replayed", "skip": "Skipped", "drop": "Dropped"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; an empty one is all of them."""

    ids: tuple[int, ...] = ()
    key: str | None = None
    reason: str | None = None
    relay: str | None = None
    state: str | None = "Quarantined"

    @property
    def names_rows(self) -> bool:
        """Whether it says more than whose rows."""
        return bool(self.ids or self.key is not None or self.reason)

    def conditions(self) -> tuple[str, list[Any]]:
        """SQL and its parameters."""
        wanted = {
            "id = ANY(${}::bigint[])": list(self.ids) or None,
            "key = ${}": self.key,
            "reason = ${}": self.reason,
            "relay_name = ${}": self.relay,
            "state = ${}": self.state,
        }
        given = [(text, value) for text, value in wanted.items() if value is not None]
        texts = [text.format(number + 1) for number, (text, _) in enumerate(given)]
        return " AND ".join(texts) or "true", [value for _, value in given]

    def __str__(self) -> str:
        parts = {"id": ",".join(map(str, self.ids)), "key": self.key, "reason": self.reason, "relay": self.relay}
        return " ".join(f"{name}={value}" for name, value in parts.items() if value) or "all"


class Quarantine:
    """One open connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def find(self, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        """Rows without what they hold, the oldest first."""
        where, values = wanted.conditions()
        return [dict(row) for row in await self._connection.fetch(LIST.format(where=where, limit=limit), *values)]

    async def held(self, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        """Rows that are still in their table and hold their key, of a relay, a key, for a reason."""
        rows = await self._connection.fetch(HELD, wanted.relay, wanted.key, wanted.reason, limit)
        return [dict(row) for row in rows]

    async def show(self, row_id: int) -> dict[str, Any] | None:
        """One row, whole."""
        row = await self._connection.fetchrow("SELECT * FROM outboxrelay.quarantine WHERE id = $1", row_id)
        return dict(row) if row else None

    async def resolve(self, action: str, wanted: Filter, *, note: str | None, force: bool) -> list[int]:
        """Replay, skip or drop; ids of the rows. Raises InvalidInput where the order of a key would be wrong."""
        where, values = wanted.conditions()
        async with self._connection.transaction():
            rows = await self._connection.fetch(CHOOSE.format(where=where), *values)
            ids = [row["id"] for row in rows]
            if not ids:
                return []
            if action == "replay":
                await self._replay(rows, ids, force=force)
            await self._connection.fetch(RESOLVE, ids, STATES[action], note)
            await self._connection.execute(AUDIT, action, ids, str(wanted), note)
        return ids

    async def add(self, manifest: RelayManifest, row_ids: Sequence[str], note: str | None) -> list[str]:
        """Move pending rows of the outbox table into quarantine by hand; ids of those that were there."""
        table, identity = manifest.spec.source.table, manifest.identity
        kind = await self._connection.fetchval(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2",
            f"{quoted(table.schema_)}.{quoted(table.name)}",
            table.layout.id,
        )
        if kind is None:
            raise InvalidInput(f"table {table.qualified_name} has no column {table.layout.id}, or is not there")
        statement = quarantine_statement(table, "uuid" if kind == "uuid" else "bigint")
        count = len(row_ids)
        async with self._connection.transaction():
            moved = await self._connection.fetch(
                statement,
                identity.uid,
                str(identity),
                2**62,
                list(row_ids),
                ["MovedByHand"] * count,
                [note or "moved by hand"] * count,
            )
            found = [row["row_id"] for row in moved]
            ids = await self._connection.fetch(
                "SELECT id FROM outboxrelay.quarantine WHERE relay = $1 AND row_id = ANY($2) AND state = 'Quarantined'",
                identity.uid,
                found,
            )
            await self._connection.execute(AUDIT, "add", [row["id"] for row in ids], "row " + ",".join(found), note)
        return found

    async def _replay(self, rows: Sequence[asyncpg.Record], ids: list[int], *, force: bool) -> None:
        earlier = await self._connection.fetchrow(EARLIER, ids)
        if earlier and not force:
            raise InvalidInput(
                f"row {earlier['id']} of key {earlier['key']!r} came before and would arrive after: replay the key "
                f"with --key, skip or drop that row first, or say --force"
            )
        for row in rows:
            place = await self._connection.fetchrow(TABLE, row["source_table"])
            if place is None:
                raise InvalidInput(f"table {row['source_table']} of row {row['id']} is not there any more")
            table = f"{quoted(place['nspname'])}.{quoted(place['relname'])}"
            columns = ", ".join(quoted(name) for name in place["columns"])
            statement = (
                f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - names are quoted
                f"SELECT {columns} FROM json_populate_record(NULL::{table}, $1::text::json)"
            )
            try:
                await self._connection.execute(statement, row["row"])
            except asyncpg.UniqueViolationError as error:
                raise InvalidInput(f"row {row['id']} is in {place['relname']} already: {error.detail}") from None
