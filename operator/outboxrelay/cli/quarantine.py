"""outboxrelay quarantine: what people do with rows that could not be sent."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outboxrelay.cli import cli
from outboxrelay.errors import Fault, InvalidInput

if TYPE_CHECKING:
    from outboxrelay.adapters.postgres_quarantine import Quarantine

T = TypeVar("T")
Function = Callable[..., Any]

URI_VARIABLE = "OUTBOXRELAY_DATABASE_URI"
NOTHING_MATCHED = 1
STATEMENT_SECONDS = 30.0
CONNECT_SECONDS = 5
WIDEST = 60
STATES = ("Quarantined", "Replayed", "Skipped", "Dropped", "all")
REASONS = "RowTooLarge, RowRejected, RowUnmappable, RowEndsProcess or MovedByHand"

EPILOG = f"""\b
The database is named by --uri-file FILE or by the variable {URI_VARIABLE}, as
  postgresql://user:password@host:5432/database?sslmode=verify-full
\b
Examples:
  outboxrelay quarantine list
  outboxrelay quarantine list --held
  outboxrelay quarantine show 17
  outboxrelay quarantine replay --key customer-4711 --dry-run
  outboxrelay quarantine skip --id 17 --note "customer was refunded by hand"
"""


@cli.group("quarantine", epilog=EPILOG)
def quarantine() -> None:
    """Rows that could not be sent: list, show, replay, skip, drop, add."""


def with_database(command: Function) -> Function:
    """--uri-file and -o, which every command has."""
    command = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
    )(command)
    return click.option(
        "--uri-file", type=click.Path(path_type=Path), help=f"File with the database's URI. Default: {URI_VARIABLE}."
    )(command)


def with_filter(command: Function) -> Function:
    """--relay, --id, --key, --reason."""
    command = click.option("--reason", help=f"Rows that failed for this: {REASONS}.")(command)
    command = click.option("--key", help="Rows of this key.")(command)
    command = click.option("--id", "ids", multiple=True, type=click.IntRange(1), help="This row; repeatable.")(command)
    return click.option("--relay", help="Rows of this relay, as namespace/name.")(command)


@quarantine.command("list", epilog="Example:\n  outboxrelay quarantine list --reason RowTooLarge -o json")
@with_database
@with_filter
@click.option(
    "--state", type=click.Choice(["Quarantined", "Replayed", "Skipped", "Dropped", "all"]), default="Quarantined"
)
@click.option("--held", is_flag=True, help="Rows that are still in their table and hold their key, instead.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Rows at most.")
def list_rows(held: bool, state: str, limit: int, uri_file: Path | None, output: str, **chosen: Any) -> int:
    """List rows in quarantine, the oldest first."""
    wanted = {**chosen, "state": None if state == "all" else state}
    if held:
        found = _run(uri_file, lambda database: database.held(chosen["relay"], limit))
        columns = ["row_id", "key", "reason", "attempts", "first_at", "message"]
    else:
        found = _run(uri_file, lambda database: database.find(_filter(wanted), limit))
        columns = ["id", "key", "reason", "attempts", "quarantined_at", "message"]
        columns[1:1] = ["relay_name"]
        columns += ["state"] if state != "Quarantined" else []
    if output == "json":
        click.echo(json.dumps(found, indent=2, default=_plain))
    elif found:
        click.echo(table(found, columns))
    if not found:
        click.echo("no row matches", err=True)
    return 0 if found else NOTHING_MATCHED


@quarantine.command("show", epilog="Example:\n  outboxrelay quarantine show 17")
@with_database
@click.argument("row", type=click.IntRange(1))
def show(row: int, uri_file: Path | None, output: str) -> int:
    """Show one row whole, with everything that is known of it."""
    found = _run(uri_file, lambda database: database.show(row))
    if found is None:
        click.echo(f"there is no row {row} in quarantine", err=True)
        return NOTHING_MATCHED
    held = json.loads(found.pop("row") or "null")
    if output == "json":
        click.echo(json.dumps({**found, "row": held}, indent=2, default=_plain))
        return 0
    width = max(len(name) for name in found)
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {'' if value is None else _plain(value)}")
    click.echo("\n" + json.dumps(held, indent=2, ensure_ascii=False))
    return 0


def action(name: str, text: str, example: str) -> None:
    """Register one of the actions."""

    @quarantine.command(name, help=text, epilog=f"Example:\n  outboxrelay quarantine {example}")
    @with_database
    @with_filter
    @click.option("--all", "everything", is_flag=True, help="All rows, of --relay or of the whole database.")
    @click.option("--force", is_flag=True, hidden=name != "replay", help="Even where the order of a key will be wrong.")
    @click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    @click.option("--note", help="Kept with the row and in the audit.")
    def act(
        everything: bool,
        force: bool,
        dry_run: bool,
        note: str | None,
        uri_file: Path | None,
        output: str,
        **chosen: Any,
    ) -> int:
        wanted = _filter({**chosen, "state": "Quarantined"})
        if not (wanted.names_rows or everything):
            raise InvalidInput(f"{name}: name rows by --id, --key or --reason, or say --all")
        if dry_run:
            found = [row["id"] for row in _run(uri_file, lambda database: database.find(wanted, 100_000))]
        else:
            found = _run(uri_file, lambda database: database.resolve(name, wanted, note=note, force=force))
        if output == "json":
            click.echo(json.dumps({"action": name, "dryRun": dry_run, "ids": found}))
        else:
            would = "would " if dry_run else ""
            click.echo(f"{would}{name} {len(found)} rows" + (f": {', '.join(map(str, found[:20]))}" if found else ""))
        return 0 if found else NOTHING_MATCHED


action(
    "replay",
    "Put rows back into their outbox table as they were, so that they are sent again with the same event id.",
    "replay --key customer-4711",
)
action("skip", "Keep rows in quarantine as done with, without sending them.", "skip --id 17 --note 'refunded by hand'")
action("drop", "Erase what rows hold, and keep only that they were there.", "drop --reason RowUnmappable --dry-run")


@quarantine.command(
    "add", epilog="Example:\n  outboxrelay quarantine add --config relay.yaml --row 4711 --note 'will never fit'"
)
@with_database
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The OutboxRelay manifest of the table.")
@click.option("--row", "rows", required=True, multiple=True, help="Id of a row in the outbox table; repeatable.")
@click.option("--note", help="Kept with the row and in the audit.")
def add(config: Path, rows: tuple[str, ...], note: str | None, uri_file: Path | None, output: str) -> int:
    """Move rows out of the outbox table by hand, so that their keys go on."""
    from outboxrelay.cli.relay import load_manifest

    manifest = load_manifest(config)
    moved = _run(uri_file, lambda database: database.add(manifest, rows, note))
    click.echo(json.dumps({"moved": moved}) if output == "json" else f"moved {len(moved)} of {len(rows)} rows")
    return 0 if moved else NOTHING_MATCHED


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """``rows`` as text, each column as wide as it needs, the last one cut."""
    lines = [[name.upper() for name in columns]]
    lines += [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cell(value: Any) -> str:
    text = " ".join(str(_plain(value)).split()) if value is not None else "-"
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _filter(chosen: dict[str, Any]) -> Any:
    from outboxrelay.adapters.postgres_quarantine import Filter

    return Filter(**chosen)


def _run(uri_file: Path | None, work: "Callable[[Quarantine], Awaitable[T]]") -> T:
    """What ``work`` returns; raises InvalidInput with what the database said."""
    import asyncpg

    from outboxrelay.adapters.postgres_connect import ConnectSettings, connect
    from outboxrelay.adapters.postgres_quarantine import Quarantine
    from outboxrelay.adapters.postgres_uri import parse_uri

    text, place = _uri(uri_file)

    async def run() -> T:
        uri = parse_uri(text, place)
        settings = ConnectSettings(
            uri.hosts,
            uri.user,
            uri.password,
            uri.database,
            uri.ssl_mode or "verify-full",
            None,
            uri.connect_timeout or 5.0,
        )
        connection = await connect(
            settings, application_name="outboxrelay quarantine", statement_timeout=STATEMENT_SECONDS
        )
        try:
            return await work(Quarantine(connection))
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except Fault as fault:
        raise InvalidInput(fault.message) from None
    except asyncpg.UndefinedTableError:
        raise InvalidInput("schema outboxrelay is not in this database: run what `outboxrelay sql` prints") from None
    except asyncpg.PostgresError as error:
        raise InvalidInput(f"PostgreSQL: {error}") from None


def _uri(uri_file: Path | None) -> tuple[str, str]:
    if uri_file is not None:
        try:
            return uri_file.read_text(encoding="utf-8").strip(), f"--uri-file {uri_file}"
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"--uri-file {uri_file}: {getattr(error, 'strerror', None) or 'not text'}") from None
    text = os.environ.get(URI_VARIABLE)
    if not text:
        raise InvalidInput(f"which database? Name a file with its URI by --uri-file, or set {URI_VARIABLE}")
    return text, URI_VARIABLE
