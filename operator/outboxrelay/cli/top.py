"""outboxrelay top: the fleet, live in a terminal, or as one table."""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import asdict
from typing import Any

import click

from outboxrelay.cli import cli
from outboxrelay.cli.fleet_keys import View
from outboxrelay.cli.fleet_live import Fleet
from outboxrelay.cli.fleet_table import summary, table
from outboxrelay.cli.options import Seconds, with_cluster
from outboxrelay.cli.relays import Relays, Scope, list_once
from outboxrelay.cli.terminal import wants_colours
from outboxrelay.decisions.fleet import Row, Sort, arranged, chosen, row_of, totals
from outboxrelay.errors import ClusterFault

NOT_SHOWN = 1
EPILOG = """\b
Examples:
  outboxrelay top -A
  outboxrelay top -n shop --sort lag
  outboxrelay top -A -l team=payments --failing
  outboxrelay top -A -o json | jq '.relays[] | select(.lagSeconds > 60).name'

\b
Keys:
  q quit, s next sort, r reverse, f only failing, / filter, Esc show all,
  arrows, PgUp, PgDn, Home, End scroll
"""


@cli.command("top", short_help="Show all relays, live.", epilog=EPILOG)
@click.argument("text", nargs=-1, metavar="[TEXT]")
@with_cluster
@click.option("-A", "--all-namespaces", is_flag=True, help="Relays of every namespace.")
@click.option("-l", "--selector", metavar="LABELS", default="", help="Only relays with these labels, as kubectl -l.")
@click.option("--failing", is_flag=True, help="Only relays that fail, or whose state is not known.")
@click.option(
    "--sort",
    type=click.Choice([item.value for item in Sort]),
    default="state",
    show_default=True,
    help="Order: the worst or the largest first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--once", is_flag=True, help="Print one table and end, as where the output is no terminal.")
@click.option(
    "--interval",
    type=Seconds(min=1, max=3600),
    default=5,
    show_default=True,
    help="Seconds between two readings.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json"]), default="table", show_default=True, help="Format."
)
def top(
    text: tuple[str, ...],
    namespace: str | None,
    all_namespaces: bool,
    context: str | None,
    kubeconfig: str | None,
    selector: str,
    failing: bool,
    sort: str,
    reverse: bool,
    once: bool,
    interval: float,
    output: str,
) -> int:
    """Show relays with their state, backlog, lag, rates, pods and open incidents, until you press q.

    TEXT chooses those with each of its words in their namespace, name, state, table or topic. Where the output is no
    terminal, with --once and with -o json or wide, it prints once. The operator renews numbers every 15 seconds.
    """
    scope = Scope(namespace, all_namespaces, selector, context, kubeconfig)
    scope.check()
    words = " ".join(text)
    live = not once and output == "table" and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    try:
        if live:
            view = View(sort=Sort(sort), reverse=reverse, failing=failing, text=words)
            return asyncio.run(_live(scope, view, interval=interval))
        bodies = asyncio.run(list_once(scope))
    except ClusterFault as fault:
        click.echo(f"outboxrelay: {fault.message}", err=True)
        return NOT_SHOWN
    every = [row_of(body) for body in bodies]
    rows = arranged(chosen(every, text=words, failing=failing), Sort(sort), reverse=reverse)
    if output == "json":
        click.echo(json.dumps(as_json(every, rows), indent=2))
        return 0
    _print(every, rows, namespaces=all_namespaces, wide=output == "wide")
    return 0


def as_json(every: list[Row], rows: list[Row]) -> dict[str, Any]:
    """What is printed for programs: the sums of all relays, and those that were chosen."""
    sums = asdict(totals(every))
    return {
        "summary": {_camel(name): value for name, value in sums.items()},
        "relays": [_relay_json(row) for row in rows],
    }


def _relay_json(row: Row) -> dict[str, Any]:
    return {
        "namespace": row.namespace,
        "name": row.name,
        "health": row.health,
        "state": row.state,
        "message": row.message,
        "lagSeconds": row.lag,
        "backlogRows": row.backlog,
        "backlogExact": row.backlog_exact,
        "deliveredPerSecond": row.delivered,
        "arrivingPerSecond": row.arriving,
        "pods": row.pods,
        "heldKeys": row.held_keys,
        "quarantinedRows": row.quarantined,
        "table": row.table,
        "topic": row.topic,
        "incidents": [item.model_dump(by_alias=True, exclude_none=True) for item in row.incidents],
    }


def _camel(name: str) -> str:
    renamed = {"backlog": "backlogRows", "delivered": "deliveredPerSecond", "arriving": "arrivingPerSecond"}
    return renamed.get(name, "backlogExact" if name == "backlog_exact" else name)


def _print(every: list[Row], rows: list[Row], *, namespaces: bool, wide: bool) -> None:
    if not every:
        click.echo("no OutboxRelay found")
        return
    # A script wants names whole; a person wants lines whole.
    bounded = (sys.stdout.isatty() or "COLUMNS" in os.environ) and not wide
    width = shutil.get_terminal_size((120, 24)).columns if bounded else None
    lines = table(rows, width=width, namespaces=namespaces, wide=wide, shown=slice(None)) if rows else []
    colours = wants_colours()
    for line in [*lines, summary(totals(every), len(rows), width=width)]:
        click.echo(line.painted(colours), color=True)


async def _live(scope: Scope, view: View, *, interval: float) -> int:
    async with Relays(scope) as relays:
        return await Fleet(relays, view, interval=interval, namespaces=scope.everywhere).run()
