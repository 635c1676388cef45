"""The command line. What goes wrong is one line: what, where, and what to do; the exit code says whose fault it is."""

import sys
from typing import NoReturn

import click

from outboxrelay import __version__
from outboxrelay.cli.environment import PREFIX, refuse_unknown_variables
from outboxrelay.errors import CannotRun, InvalidInput

EXIT_FAILED = 1
"""It did not work: a database, brokers, a cluster or a port; or a bug."""
EXIT_INVALID_INPUT = 2
"""What was asked for is wrong; nothing was done."""
EXIT_NOTHING_MATCHED = 3
"""There is no such row."""

EPILOG = """\b
Examples:
  outboxrelay sql --config relay.yaml --role orders_relay | psql "$URI"
  outboxrelay relay --config relay.yaml --credentials credentials
  outboxrelay top -A
  outboxrelay quarantine list --held
  outboxrelay crd | kubectl apply --server-side -f -

\b
Options can be environment variables too, named after the command:
  OUTBOXRELAY_RELAY_PORT=8081 is --port 8081 of outboxrelay relay.

\b
Exit codes:
  0  done
  1  it did not work: a database, brokers, a cluster, a port, or a bug
  2  what was asked for is wrong; nothing was done
  3  no row matched (quarantine)

\b
Completion, in ~/.bashrc (or zsh_source, fish_source):
  eval "$(_OUTBOXRELAY_COMPLETE=bash_source outboxrelay)"
"""


class Command(click.Command):
    """A command that reads nothing but variables which it knows."""

    def invoke(self, ctx: click.Context) -> object:
        """Run it; raises InvalidInput for a variable that is most likely misspelt."""
        refuse_unknown_variables(ctx)
        return super().invoke(ctx)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


@click.group(
    cls=Group,
    epilog=EPILOG,
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "help_option_names": ["-h", "--help"],
        # The width of the terminal, up to where lines are still easy to read.
        "max_content_width": 120,
    },
)
@click.version_option(__version__, prog_name="outboxrelay")
def cli() -> None:
    """Carries PostgreSQL outbox tables to Kafka: at least once, in order per key."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from outboxrelay.cli import (  # noqa: F401 - each registers its command
        chain,
        check,
        controller,
        crd,
        deliver,
        explain,
        incidents,
        quarantine,
        relay,
        sql,
        top,
    )

    try:
        code = cli.main(prog_name="outboxrelay", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_INVALID_INPUT)
    except click.ClickException as error:
        _end(_with_place_to_look(error), EXIT_INVALID_INPUT)
    except InvalidInput as error:
        _end(str(error), EXIT_INVALID_INPUT)
    except CannotRun as error:
        _end(str(error), EXIT_FAILED)
    except click.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _with_place_to_look(error: click.ClickException) -> str:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return message
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{context.command_path} --help`."


def _end(message: str, code: int) -> NoReturn:
    click.echo("outboxrelay: " + " ".join(message.split()), err=True)
    sys.exit(code)
