"""outboxrelay incidents: what is wrong now with all relays, in one table."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from outboxrelay.cli import cli
from outboxrelay.cli.options import counted, with_cluster
from outboxrelay.cli.relays import Scope, list_once
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.incidents.listing import Found, Group, collect, grouped
from outboxrelay.errors import ClusterFault

NOT_LISTED = 1
WIDEST = 400
LEAST_MESSAGE = 20
EPILOG = """\b
Examples:
  outboxrelay incidents
  outboxrelay incidents -A --all
  outboxrelay incidents -A -o json | jq '.[].message'
"""


@cli.command("incidents", short_help="List what is wrong now with all relays.", epilog=EPILOG)
@with_cluster
@click.option("-A", "--all-namespaces", is_flag=True, help="Relays of every namespace.")
@click.option("--all", "resolved_too", is_flag=True, help="The last few that were resolved, too.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Format."
)
def incidents(
    namespace: str | None,
    all_namespaces: bool,
    context: str | None,
    kubeconfig: str | None,
    resolved_too: bool,
    output: str,
) -> int:
    """List open incidents of OutboxRelays, the newest first; what many relays share is one line."""
    scope = Scope(namespace, all_namespaces, "", context, kubeconfig)
    scope.check()
    try:
        bodies = asyncio.run(list_once(scope))
    except ClusterFault as fault:
        click.echo(f"outboxrelay: {fault.message}", err=True)
        return NOT_LISTED
    found = collect(bodies, resolved_too=resolved_too)
    if output == "json":
        click.echo(json.dumps([_as_json(item) for item in found], indent=2))
        return 0
    if not found:
        click.echo(f"no open incident, {counted(len(bodies), 'relay')}" if bodies else "no OutboxRelay found")
        return 0
    now = datetime.now(UTC)  # noqa: TID251 - a composition root
    width = shutil.get_terminal_size((120, 24)).columns
    click.echo(table(found, now, width=width, namespaces=all_namespaces, states=resolved_too))
    return 0


def table(found: Sequence[Found], now: datetime, *, width: int, namespaces: bool, states: bool) -> str:
    """``found`` as text of at most ``width`` columns; what does not fit is cut off the message."""
    wide = width >= 100
    head = [*(["NAMESPACE"] if namespaces else []), "RELAY", "TYPE", "SEVERITY"]
    head += [*(["STATE"] if states else []), *(["SINCE"] if wide else []), "LASTS"]
    head += [*(["TIMES"] if wide else []), "MESSAGE"]
    rows = [head, *(_row(group, now, head) for group in grouped(found))]
    widths = [max(len(row[number]) for row in rows) for number in range(len(head) - 1)]
    room = max(LEAST_MESSAGE, width - sum(widths) - 2 * len(widths))
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, _cut(row[-1], room)]).rstrip())
    return "\n".join(lines)


def _row(group: Group, now: datetime, head: Sequence[str]) -> list[str]:
    first, incident = group.first, group.first.incident
    spaces = {item.namespace for item in group.found}
    cells = {
        "NAMESPACE": first.namespace if len(spaces) == 1 else f"{len(spaces)} namespaces",
        "RELAY": first.relay if len(group.found) == 1 else f"{len(group.found)} relays",
        "TYPE": incident.type,
        "SEVERITY": incident.severity,
        "STATE": incident.state,
        "SINCE": incident.started_at.replace("T", " ").removesuffix("Z"),
        "LASTS": lag_display(group.seconds(now)),
        "TIMES": str(incident.occurrences),
        "MESSAGE": " ".join(incident.message.split())[:WIDEST],
    }
    return [cells[name] for name in head]


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _as_json(item: Found) -> dict[str, Any]:
    incident = item.incident.model_dump(by_alias=True, exclude_none=True)
    return {"namespace": item.namespace, "relay": item.relay, **incident}
