"""What the database remembers of rows that could not be sent: schema outboxrelay, in the session with the locks."""

from collections.abc import Collection, Sequence
from typing import Any

from outboxrelay.adapters.postgres_control import PostgresControl
from outboxrelay.adapters.postgres_statements import literal, quoted, sql
from outboxrelay.adapters.postgres_table import INTEGERS
from outboxrelay.api.manifest import RelayManifest
from outboxrelay.decisions.poison import Attempts, Failure
from outboxrelay.decisions.rows import EVENT_ID, KEY, ROW_ID, Row, RowId

CONSEQUENCES = {
    "attempts": "attempts are forgotten when a process ends, so a row that ends it is not found",
    "quarantine": "rows cannot be moved to quarantine; their keys are held instead",
    "member": "a process that ended without a word is not noticed",
}

START = """
INSERT INTO outboxrelay.attempts AS a (relay, relay_name, row_id, event_id, key, started)
SELECT $1, $2, f.row_id, f.event_id, f.key, 1
FROM unnest($3::text[], $4::text[], $5::text[]) AS f (row_id, event_id, key)
ON CONFLICT (relay, row_id) DO UPDATE SET started = a.started + 1, last_at = now()
"""
FAILED = """
INSERT INTO outboxrelay.attempts AS a
    (relay, relay_name, row_id, event_id, key, started, finished, reason, message)
SELECT $1, $2, f.row_id, f.event_id, f.key, 1, 1, f.reason, f.message
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) AS f (row_id, event_id, key, reason, message)
ON CONFLICT (relay, row_id) DO UPDATE
SET started = greatest(a.started, a.finished + 1), finished = a.finished + 1, reason = excluded.reason,
    message = excluded.message, last_at = now()
RETURNING row_id, finished
"""
LOAD = "SELECT row_id, key, started, finished FROM outboxrelay.attempts WHERE relay = $1 LIMIT 20000"
FINISH = "DELETE FROM outboxrelay.attempts WHERE relay = $1 AND row_id = ANY($2::text[])"
COUNT = "SELECT count(*) AS rows FROM outboxrelay.quarantine WHERE relay = $1 AND state = 'Quarantined'"
UNCLEAN = "DELETE FROM outboxrelay.member WHERE relay = $1 AND member <> ALL($2::integer[]) RETURNING member"
ENTER = "INSERT INTO outboxrelay.member (relay, member) VALUES ($1, $2) ON CONFLICT DO NOTHING"
LEAVE = "DELETE FROM outboxrelay.member WHERE relay = $1 AND member = $2"


class PostgresPoison:
    """Satisfies the relay's PoisonStore."""

    def __init__(self, control: PostgresControl, manifest: RelayManifest) -> None:
        self._control = control
        self._uid, self._name = manifest.identity.uid, str(manifest.identity)
        self._table = manifest.spec.source.table
        self._moves = manifest.spec.poison.action != "HoldKey"
        self._usable: frozenset[str] = frozenset()
        self._missing: frozenset[str] = frozenset()
        self._numeric = True
        self._quarantine = ""

    async def open(self) -> tuple[str, ...]:
        """What cannot be done for want of tables or privileges; raises SourceFault."""
        tables = [self._needed(row) for row in await self._control.fetch(sql("describe_schema"))]
        layout = self._table.layout
        outbox = await self._control.fetch(sql("describe_outbox"), self._table.schema_, self._table.name, layout.id)
        self._missing = frozenset(row["name"] for row in tables if not row["found"])
        self._usable = frozenset(row["name"] for row in tables if row["schema_usage"] and not row["lacking"])
        if outbox:
            self._describe(outbox[0]["id_type"])
        limitations = _limitations([row for row in tables if row["name"] in CONSEQUENCES])
        if self._moves and outbox and not outbox[0]["can_delete"]:
            self._usable -= {"quarantine"}
            grant = f'GRANT DELETE ON {self._table.qualified_name} TO "{outbox[0]["role"]}"'
            limitations.append(f"rows cannot be moved aside: {grant}")
        return tuple(limitations)

    async def unclean(self, live: Collection[int]) -> bool:
        """Whether members went without leaving; raises SourceFault."""
        return bool(await self._run("member", UNCLEAN, list(live)))

    async def enter(self, member: int) -> None:
        """This process is ``member``; raises SourceFault."""
        await self._run("member", ENTER, member)

    async def leave(self, member: int) -> None:
        """It went in order; raises SourceFault."""
        await self._run("member", LEAVE, member)

    async def load(self) -> list[Attempts]:
        """Rows of which attempts are remembered; raises SourceFault."""
        rows = await self._run("attempts", LOAD)
        return [Attempts(self._row_id(row["row_id"]), row["key"], row["started"], row["finished"]) for row in rows]

    async def start(self, rows: Sequence[Row]) -> None:
        """An attempt for each row begins; raises SourceFault."""
        ids, events, keys = [str(row[ROW_ID]) for row in rows], [row[EVENT_ID] for row in rows], [r[KEY] for r in rows]
        await self._run("attempts", START, self._name, ids, events, keys)

    async def finish(self, ids: Sequence[RowId]) -> None:
        """Nothing more needs to be remembered; raises SourceFault."""
        await self._run("attempts", FINISH, [str(row_id) for row_id in ids])

    async def failed(self, failures: Sequence[Failure]) -> dict[RowId, int]:
        """Attempts so far of rows that failed; raises SourceFault."""
        columns = [
            [str(item.row_id) for item in failures],
            [item.event_id for item in failures],
            [item.key for item in failures],
            [item.reason for item in failures],
            [item.message for item in failures],
        ]
        rows = await self._run("attempts", FAILED, self._name, *columns)
        return {self._row_id(row["row_id"]): row["finished"] for row in rows}

    async def quarantine(self, failures: Sequence[Failure], most: int) -> frozenset[RowId]:
        """Move rows, whole, in one statement that is durable when it returns; raises SourceFault."""
        if not self._usable >= {"quarantine", "attempts"}:
            return frozenset()
        ids, reasons = [str(item.row_id) for item in failures], [item.reason for item in failures]
        messages = [item.message for item in failures]
        arguments = (self._uid, self._name, most, ids, reasons, messages)
        rows = await self._control.fetch_durably(self._quarantine, *arguments)
        return frozenset(self._row_id(row["row_id"]) for row in rows)

    async def quarantined(self) -> int | None:
        """Rows in quarantine; raises SourceFault."""
        if "quarantine" in self._missing:
            return 0
        rows = await self._run("quarantine", COUNT)
        return int(rows[0]["rows"]) if rows else None

    async def _run(self, table: str, statement: str, *arguments: Any) -> list[Any]:
        """Rows of a statement on ``table``, or none where it cannot be used."""
        return await self._control.fetch(statement, self._uid, *arguments) if table in self._usable else []

    def _needed(self, row: Any) -> dict[str, Any]:
        """A row of sql/describe_schema.sql; where keys are held, nothing is ever put into quarantine."""
        unneeded = {"INSERT"} if row["name"] == "quarantine" and not self._moves else set()
        return {**row, "lacking": [privilege for privilege in row["lacking"] if privilege not in unneeded]}

    def _row_id(self, text: str) -> RowId:
        return int(text) if self._numeric else text

    def _describe(self, id_type: str) -> None:
        self._numeric = id_type in INTEGERS
        self._quarantine = quarantine_statement(self._table, "bigint" if self._numeric else "uuid")


def quarantine_statement(table: Any, id_type: str) -> str:
    """The text of sql/poison_quarantine.sql for one outbox table."""
    layout = table.layout
    pending = f"t.{quoted(layout.delivered_at)} IS NULL" if table.after_delivery == "Mark" else "true"
    return sql("poison_quarantine").format(
        table=f"{quoted(table.schema_)}.{quoted(table.name)}",
        source_table=literal(f"{quoted(table.schema_)}.{quoted(table.name)}"),
        id=quoted(layout.id),
        id_type=id_type,
        pending=pending,
        event_id=f"gone.{quoted(layout.event_id or layout.id)}::text",
        key=f"gone.{quoted(layout.key)}::text" if layout.key else "NULL::text",
    )


def _limitations(tables: Sequence[Any]) -> list[str]:
    missing = [row["name"] for row in tables if not row["found"]]
    if len(missing) == len(tables):
        message = (
            "schema outboxrelay is missing: attempts are forgotten when a process ends, and rows cannot be moved to "
            "quarantine; run `outboxrelay sql`"
        )
        return [message]
    found = [f"table outboxrelay.{name} is missing: {CONSEQUENCES[name]}; run `outboxrelay sql`" for name in missing]
    for row in tables:
        if row["found"] and not row["schema_usage"]:
            grant = f'GRANT USAGE ON SCHEMA outboxrelay TO "{row["role"]}"'
            return [f"nothing is remembered of rows that cannot be sent: {grant}"]
        if row["found"] and row["lacking"]:
            grant = f'GRANT {", ".join(row["lacking"])} ON outboxrelay.{row["name"]} TO "{row["role"]}"'
            found.append(f"{CONSEQUENCES[row['name']]}: {grant}")
    return found
