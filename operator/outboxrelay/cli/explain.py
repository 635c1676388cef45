"""outboxrelay explain: how the operator came to the number of pods of a relay."""

import asyncio
import json
import re
from typing import Any

import click

from outboxrelay.cli import cli
from outboxrelay.cli.options import with_cluster
from outboxrelay.decisions.explanation import explanation
from outboxrelay.errors import ClusterFault, InvalidInput

NOT_EXPLAINED = 1
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

EPILOG = """\b
Examples:
  outboxrelay explain orders
  outboxrelay explain orders -n shop -o json
  kubectl outboxrelay explain orders --context staging
"""


@cli.command("explain", short_help="Tell how the number of pods came about.", epilog=EPILOG)
@click.argument("relay")
@with_cluster
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def explain(relay: str, namespace: str | None, context: str | None, kubeconfig: str | None, output: str) -> int:
    """Tell how the operator came to the number of pods of RELAY: what it saw, what is needed, and which gates are shut.

    The numbers are those of status.scaling.lastDecision, which is renewed at most every 15 seconds.
    """
    try:
        body = asyncio.run(_read(relay, namespace, context, kubeconfig))
    except ClusterFault as fault:
        click.echo(f"outboxrelay: {fault.message}", err=True)
        return NOT_EXPLAINED
    if output == "json":
        click.echo(json.dumps(_as_json(body), indent=2))
        return 0
    click.echo("\n".join(explanation(body)))
    return 0


async def _read(relay: str, namespace: str | None, context: str | None, kubeconfig: str | None) -> dict[str, Any]:
    # What it imports takes time that the other commands need not spend.
    from outboxrelay.adapters.kube import default_namespace, open_client
    from outboxrelay.adapters.kube_objects import KubeObjects
    from outboxrelay.manifests.kinds import RELAY

    where = namespace or default_namespace(kubeconfig=kubeconfig, context=context)
    for flag, value in (("RELAY", relay), ("--namespace", where)):
        if not NAME.fullmatch(value):
            raise InvalidInput(f"{flag}: {value!r} is not the name of a Kubernetes object")
    async with open_client(kubeconfig=kubeconfig, context=context, user_agent="outboxrelay-cli") as client:
        body = await KubeObjects(client).get(RELAY, where, relay)
    if body is None:
        raise InvalidInput(f"there is no OutboxRelay {relay} in namespace {where}; name another one by -n")
    return body


def _as_json(body: dict[str, Any]) -> dict[str, Any]:
    """status.scaling as it is written, with the conditions about it."""
    status = body.get("status") or {}
    wanted = ("ScalingActive", "LagWithinObjective")
    return {
        "namespace": body["metadata"]["namespace"],
        "name": body["metadata"]["name"],
        "scaling": status.get("scaling") or {},
        "conditions": [item for item in status.get("conditions") or [] if item.get("type") in wanted],
    }
