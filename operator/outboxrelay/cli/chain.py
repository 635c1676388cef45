"""outboxrelay chain: relays that feed each other, the lag of each stage, and the stage that the others wait for."""

import asyncio
import json
import shutil
import sys
from typing import Any

import click

from outboxrelay.cli import cli
from outboxrelay.cli.columns import GAP, Column, layout, lines
from outboxrelay.cli.options import counted, output, with_cluster
from outboxrelay.cli.relays import NAME, Scope, list_once
from outboxrelay.decisions.backlog import lag_display
from outboxrelay.decisions.chains import Chain, Member, chains
from outboxrelay.decisions.fleet import count_display
from outboxrelay.errors import ClusterFault, InvalidInput

NOT_SHOWN = 1
HOW = "name what feeds a relay in its spec.dependsOn, or label relays outboxrelay.dev/chain=NAME"
COLUMNS = (
    Column("STAGE", keep=2, number=True),
    Column("RELAY", keep=0, least=18),
    Column("STATE", keep=1, least=14),
    Column("LAG", keep=1, number=True),
    Column("BACKLOG", keep=3, number=True),
    Column("OUT/S", keep=4, number=True),
    Column("", keep=0),
    Column("AFTER", keep=5, sentence=True),
)
HOLDS = "◀ holds it up"
EPILOG = """\b
Examples:
  outboxrelay chain
  outboxrelay chain shipping -n shop
  outboxrelay chain -A -o json | jq '.[] | {name, lagSeconds, heldBy}'

\b
A chain is declared by what comes before a relay, or by labels of the relays:
  spec: {dependsOn: [orders]}
  labels: {outboxrelay.dev/chain: checkout, outboxrelay.dev/chain-stage: "2"}
"""


@cli.command("chain", short_help="Show relays that feed each other.", epilog=EPILOG)
@click.argument("relay", required=False)
@with_cluster
@click.option("-A", "--all-namespaces", is_flag=True, help="Chains of every namespace.")
@output("table", "json")
def chain(
    relay: str | None,
    namespace: str | None,
    all_namespaces: bool,
    context: str | None,
    kubeconfig: str | None,
    output: str,
) -> int:
    """Show chains of relays that feed each other: the lag of each stage, of the whole, and which stage holds it up.

    RELAY is one of the chain, or the chain's name; without it every chain is shown.
    """
    scope = Scope(namespace, all_namespaces, "", context, kubeconfig)
    scope.check()
    if relay is not None and not (NAME.fullmatch(relay) or relay.isprintable()):
        raise InvalidInput("RELAY: give the name of an OutboxRelay or of a chain")
    try:
        bodies = asyncio.run(list_once(scope))
    except ClusterFault as fault:
        click.echo(f"outboxrelay: {fault.message}", err=True)
        return NOT_SHOWN
    found = chains(bodies)
    if relay is not None:
        found = [item for item in found if relay == item.name or relay in (member.name for member in item.members)]
        if not found:
            raise InvalidInput(_absent(relay, bodies, scope))
    if output == "json":
        click.echo(json.dumps([as_json(item) for item in found], indent=2))
        return 0
    if not found:
        click.echo(f"no chain among {counted(len(bodies), 'relay')}: {HOW}" if bodies else "no OutboxRelay found")
        return 0
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else None
    click.echo("\n\n".join("\n".join(text(item, width=width)) for item in found))
    return 0


def text(item: Chain, *, width: int | None) -> list[str]:
    """A chain in words: what the whole is like, its stages in order, and what is wrong with it."""
    head = f"{item.namespace}/{item.name}: {item.headline}"
    rows = [_cells(item, number, member) for number, stage in enumerate(item.stages, start=1) for member in stage]
    # The last column says what dependsOn names; where nothing does, labels made the order.
    columns = COLUMNS if any(row[-1] for row in rows) else COLUMNS[:-1]
    fit = layout(columns, rows, width)
    table = [(" " * GAP).join(line).rstrip() for line in lines(columns, rows, fit)]
    return [head, item.held_up, *table, *item.problems]


def as_json(item: Chain) -> dict[str, Any]:
    """A chain for programs; a member with no OutboxRelay has the state NotFound and no numbers."""
    holder = item.holder
    return {
        "namespace": item.namespace,
        "name": item.name,
        "lagSeconds": item.lag,
        "lagKnown": item.lag_known,
        "heldBy": {"relay": holder.name, "why": holder.why, "message": holder.message} if holder else None,
        "problems": list(item.problems),
        "stages": [[_member_json(member) for member in stage] for stage in item.stages],
    }


def _member_json(member: Member) -> dict[str, Any]:
    row = member.row
    return {
        "name": member.name,
        "exists": row is not None,
        "health": row.health if row else None,
        "state": member.state,
        "message": row.message if row else "",
        "lagSeconds": member.lag,
        "maxLagSeconds": member.objective,
        "backlogRows": row.backlog if row else None,
        "deliveredPerSecond": row.delivered if row else None,
        "dependsOn": list(member.after),
    }


def _cells(item: Chain, number: int, member: Member) -> list[str]:
    row = member.row
    return [
        str(number),
        member.name,
        member.state,
        lag_display(member.lag),
        count_display(row.backlog, exact=row.backlog_exact) if row else "-",
        count_display(row.delivered) if row else "-",
        HOLDS if item.holder and item.holder.name == member.name else "",
        ", ".join(member.after),
    ]


def _absent(relay: str, bodies: list[dict[str, Any]], scope: Scope) -> str:
    if any(body["metadata"]["name"] == relay for body in bodies):
        return f"{relay} is in no chain: {HOW}"
    where = "any namespace" if scope.everywhere else "this namespace; name another one by -n"
    return f"there is no OutboxRelay or chain {relay[:60]!r} in {where}"
