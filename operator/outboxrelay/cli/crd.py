"""outboxrelay crd: prints the CustomResourceDefinition that belongs to this version."""

import json

import click

from outboxrelay.api.schema import crd_yaml, custom_resource_definition
from outboxrelay.cli import cli
from outboxrelay.cli.options import output as output_option

EPILOG = """\b
Examples:
  outboxrelay crd | kubectl apply --server-side -f -
  outboxrelay crd -o json | jq .spec.versions[0].name
"""


@cli.command("crd", epilog=EPILOG)
@output_option("yaml", "json")
def crd(output: str) -> None:
    """Print the CustomResourceDefinition of this version."""
    if output == "json":
        click.echo(json.dumps(custom_resource_definition(), indent=2))
    else:
        click.echo(crd_yaml(), nl=False)
