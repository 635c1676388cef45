"""Options as environment variables: a misspelt one would silently change nothing, so it is refused."""

import os
from collections.abc import Iterator
from difflib import get_close_matches

import click

from outboxrelay.errors import InvalidInput

PREFIX = "OUTBOXRELAY"


def refuse_unknown_variables(context: click.Context) -> None:
    """Raises InvalidInput for a variable with the prefix of the command that runs which none of its options reads."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    prefix = f"{PREFIX}_{str(context.info_name).upper()}"
    known = sorted(variables(context.command, prefix))
    for name in sorted(os.environ):
        if name.startswith(f"{prefix}_") and name not in known:
            similar = get_close_matches(name, known, 1)
            hint = f"is it {similar[0]}?" if similar else f"known are {', '.join(known) or 'none'}"
            raise InvalidInput(f"environment variable {name}: unknown; {hint}")


def variables(command: click.Command, prefix: str) -> Iterator[str]:
    """The variables of ``command``'s options, and of the commands in it."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield str(parameter.envvar or f"{prefix}_{parameter.name}".upper())
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from variables(inner, f"{prefix}_{name.upper()}")
