"""The command line. What a user got wrong ends with exit code 2 and one line that names what and where."""

import sys

import click

from outboxrelay import __version__
from outboxrelay.errors import InvalidInput

EXIT_INVALID_INPUT = 2


@click.group(context_settings={"auto_envvar_prefix": "OUTBOXRELAY", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="outboxrelay")
def cli() -> None:
    """Carries PostgreSQL outbox tables to Kafka: at least once, in order per key."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from outboxrelay.cli import controller, crd, incidents, quarantine, relay, sql  # noqa: F401 - each registers its command

    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_INVALID_INPUT)
    except click.ClickException as error:
        _refuse(error.format_message())
    except InvalidInput as error:
        _refuse(str(error))
    except click.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str) -> None:
    click.echo("outboxrelay: " + " ".join(message.split()), err=True)
    sys.exit(EXIT_INVALID_INPUT)
