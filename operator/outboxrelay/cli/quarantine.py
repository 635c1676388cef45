"""outboxrelay quarantine: what people do with rows that could not be sent."""

import json
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from outboxrelay.api.names import Reason
from outboxrelay.cli import EXIT_NOTHING_MATCHED, cli
from outboxrelay.cli.database import URI_VARIABLE, on_quarantine
from outboxrelay.cli.options import Number, RowNumber, counted
from outboxrelay.cli.options import output as output_option
from outboxrelay.errors import InvalidInput

Function = Callable[..., Any]

WIDEST = 60
STATES = ("Quarantined", "Replayed", "Skipped", "Dropped", "all")
REASONS = (
    Reason.ROW_TOO_LARGE.value,
    Reason.ROW_REJECTED.value,
    Reason.ROW_UNMAPPABLE.value,
    Reason.ROW_ENDS_PROCESS.value,
    "MovedByHand",
)
LARGEST = 100_000

EPILOG = f"""\b
The database is named by --uri-file FILE or by {URI_VARIABLE}:
  postgresql://user:password@host:5432/database?sslmode=verify-full

\b
Examples:
  outboxrelay quarantine list
  outboxrelay quarantine list --held
  outboxrelay quarantine show 17
  outboxrelay quarantine replay --key customer-4711 --dry-run
  outboxrelay quarantine skip --id 17 --note "refunded by hand"
  outboxrelay quarantine add --config relay.yaml --row 4711

\b
Every action is one transaction, written down in the audit. Exit codes:
  0 done; 1 the database cannot be used; 2 what was asked for is wrong, and
  nothing was done; 3 no row matched.
"""


@cli.group("quarantine", epilog=EPILOG, short_help="See to rows that could not be sent.")
def quarantine() -> None:
    """Rows that could not be sent: list, show, replay, skip, drop, add."""


def with_database(command: Function) -> Function:
    """--uri-file and -o, which every command has."""
    return click.option(
        "--uri-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help=f"File with the database's URI. Default: {URI_VARIABLE}.",
    )(output_option("table", "json")(command))


def with_filter(command: Function) -> Function:
    """--relay, --id, --key, --reason."""
    command = click.option(
        "--reason",
        metavar="REASON",
        type=click.Choice(REASONS),
        help=f"Rows that failed for this: {', '.join(REASONS)}.",
    )(command)
    command = click.option("--key", metavar="KEY", help="Rows of this key.")(command)
    command = click.option("--id", "ids", multiple=True, type=RowNumber(), help="This row; repeatable.")(command)
    return click.option(
        "--relay",
        metavar="NAMESPACE/NAME",
        callback=_check_relay,
        help="Rows of this relay.",
    )(command)


def example(text: str) -> str:
    """An epilog that is not wrapped."""
    return f"\b\nExamples:\n  outboxrelay quarantine {text}"


def _check_relay(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not all(value.partition("/")):
        raise InvalidInput(f"--relay {value}: write it as namespace/name")
    return value


@quarantine.command(
    "list",
    epilog=example("list --reason RowTooLarge -o json\n  outboxrelay quarantine list --held --relay shop/orders"),
)
@with_database
@with_filter
@click.option(
    "--state", type=click.Choice(STATES), default=STATES[0], show_default=True, help="What was done with them."
)
@click.option("--held", is_flag=True, help="Rows that are still in their table and hold their key, instead.")
@click.option(
    "--limit", type=Number(1, LARGEST), metavar="NUMBER", default=100, show_default=True, help="Rows at most."
)
def list_rows(held: bool, state: str, limit: int, uri_file: Path | None, output: str, **chosen: Any) -> int:
    """List rows in quarantine, the oldest first."""
    wanted = {**chosen, "state": None if state == "all" else state}
    if held:
        if chosen["ids"] or state != STATES[0]:
            raise InvalidInput("--held: its rows are not in quarantine; leave --id and --state away")
        found = on_quarantine(uri_file, lambda database: database.held(_filter(wanted), limit))
        columns = ["row_id", "key", "reason", "attempts", "first_at", "message"]
    else:
        found = on_quarantine(uri_file, lambda database: database.find(_filter(wanted), limit))
        columns = ["id", "key", "reason", "attempts", "quarantined_at", "message"]
        columns[1:1] = ["relay_name"]
        columns += ["state"] if state != "Quarantined" else []
    if output == "json":
        click.echo(json.dumps(found, indent=2, default=_plain))
    elif found:
        click.echo(table(found, columns, _terminal_width()))
    if not found:
        click.echo("no row matches" + ("" if held else "; --state all lists those that are done with too"), err=True)
    return 0 if found else EXIT_NOTHING_MATCHED


@quarantine.command("show", epilog=example("show 17\n  outboxrelay quarantine show 17 -o json | jq .row.payload"))
@with_database
@click.argument("row", type=RowNumber())
def show(row: int, uri_file: Path | None, output: str) -> int:
    """Show one row whole, with everything that is known of it."""
    found = on_quarantine(uri_file, lambda database: database.show(row))
    if found is None:
        click.echo(f"there is no row {row} in quarantine; outboxrelay quarantine list --state all has them", err=True)
        return EXIT_NOTHING_MATCHED
    held = json.loads(found.pop("row") or "null")
    if output == "json":
        click.echo(json.dumps({**found, "row": held}, indent=2, default=_plain))
        return 0
    width = max(len(name) for name in found)
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {'' if value is None else _plain(value)}")
    click.echo("\n" + json.dumps(held, indent=2, ensure_ascii=False))
    return 0


def with_force(command: Function) -> Function:
    """--force, for those who know."""
    return click.option("--force", is_flag=True, help="Even where the order of a key will be wrong.")(command)


def action(name: str, text: str, short: str, examples: str, *options: Callable[[Function], Function]) -> None:
    """Register one of the actions."""

    def act(
        everything: bool,
        dry_run: bool,
        note: str | None,
        uri_file: Path | None,
        output: str,
        force: bool = False,
        **chosen: Any,
    ) -> int:
        wanted = _filter({**chosen, "state": "Quarantined"})
        if wanted.names_rows == everything:
            raise InvalidInput(
                f"{name} --all: leave --id, --key and --reason away, or leave --all away"
                if everything
                else f"{name}: name rows by --id, --key or --reason, or say --all"
            )
        if dry_run:
            found = [row["id"] for row in on_quarantine(uri_file, lambda database: database.find(wanted, LARGEST))]
        else:
            found = on_quarantine(uri_file, lambda database: database.resolve(name, wanted, note=note, force=force))
        if output == "json":
            click.echo(json.dumps({"action": name, "dryRun": dry_run, "ids": found}))
        else:
            would = "would " if dry_run else ""
            click.echo(f"{would}{name} {len(found)} rows" + (f": {', '.join(map(str, found[:20]))}" if found else ""))
        return 0 if found else EXIT_NOTHING_MATCHED

    decorators: list[Callable[[Function], Function]] = [
        click.option("--note", metavar="TEXT", help="Kept with the row and in the audit."),
        *options,
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        click.option("--all", "everything", is_flag=True, help="All rows, of --relay or of the whole database."),
        with_filter,
        with_database,
        quarantine.command(name, help=text, short_help=short, epilog=example(examples)),
    ]
    command: Function = act
    for decorator in decorators:
        command = decorator(command)


action(
    "replay",
    "Put rows back into their outbox table as they were, so that they are sent again with the same event id.\n\n"
    "A key is replayed as a whole: while an earlier row of it stays in quarantine, its rows are refused.",
    "Put rows back into their table, to be sent again.",
    "replay --key customer-4711 --dry-run\n  outboxrelay quarantine replay --all --relay shop/orders",
    with_force,
)
action(
    "skip",
    "Keep rows in quarantine as done with, without sending them.",
    "Keep rows as done with, without sending them.",
    "skip --id 17 --note 'refunded by hand'",
)
action(
    "drop",
    "Erase what rows hold, and keep only that they were there.",
    "Erase what rows hold.",
    "drop --reason RowUnmappable --dry-run",
)


@quarantine.command(
    "add",
    short_help="Move rows out of the outbox table by hand.",
    epilog=example("add --config relay.yaml --row 4711 --note why"),
)
@with_database
@click.option(
    "--config",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The OutboxRelay manifest of the table.",
)
@click.option(
    "--row", "rows", metavar="ID", required=True, multiple=True, help="Id of a row in the outbox table; repeatable."
)
@click.option("--note", metavar="TEXT", help="Kept with the row and in the audit.")
def add(config: Path, rows: tuple[str, ...], note: str | None, uri_file: Path | None, output: str) -> int:
    """Move rows out of the outbox table by hand, so that their keys go on."""
    from outboxrelay.cli.relay import load_manifest

    manifest = load_manifest(config)
    moved = on_quarantine(uri_file, lambda database: database.add(manifest, rows, note))
    click.echo(
        json.dumps({"moved": moved}) if output == "json" else f"moved {len(moved)} of {counted(len(rows), 'row')}"
    )
    if absent := [row for row in rows if row not in moved]:
        table = manifest.spec.source.table.qualified_name
        click.echo(f"not pending in {table}: {', '.join(absent[:20])}; already delivered, or moved before?", err=True)
    return 0 if moved else EXIT_NOTHING_MATCHED


def table(rows: list[dict[str, Any]], columns: list[str], width: int | None = None) -> str:
    """``rows`` as text, each column as wide as it needs; lines are cut at ``width``, so that none wraps."""
    lines = [[name.upper() for name in columns]]
    lines += [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    texts = ("  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(text if width is None or len(text) <= width else text[: width - 1] + "…" for text in texts)


def _terminal_width() -> int | None:
    """Columns, where somebody looks on; None for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _cell(value: Any) -> str:
    text = " ".join(str(_plain(value)).split()) if value is not None else "-"
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _filter(chosen: dict[str, Any]) -> Any:
    from outboxrelay.adapters.postgres_quarantine import Filter

    return Filter(**chosen)
