"""outboxrelay crd: prints the CustomResourceDefinition that belongs to this version."""

import click

from outboxrelay.api.schema import crd_yaml
from outboxrelay.cli import cli


@cli.command("crd")
def crd() -> None:
    """Print the CustomResourceDefinition of this version as YAML."""
    click.echo(crd_yaml(), nl=False)
