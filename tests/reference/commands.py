"""Every command: what it does, its arguments and options, and its examples."""

import importlib
import pkgutil
import textwrap
from collections.abc import Iterator

import click

import outboxrelay.cli
from tests.reference.markdown import code, table

for module in pkgutil.iter_modules(outboxrelay.cli.__path__, "outboxrelay.cli."):
    importlib.import_module(module.name)  # commands register themselves


def commands(
    command: click.Command = outboxrelay.cli.cli, path: str = "outboxrelay"
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, groups included, in the order of their names."""
    yield path, command
    inner = command.commands if isinstance(command, click.Group) else {}
    for name in sorted(inner):
        yield from commands(inner[name], f"{path} {name}")


def sections() -> list[tuple[str, str]]:
    """One section with all commands."""
    return [("commands", "\n\n".join(section(path, command) for path, command in commands()))]


def section(path: str, command: click.Command) -> str:
    """One command."""
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", *paragraphs(command.help or ""), f"Usage: `{usage}`"]
    rows = [option_row(option, context) for option in command.params if isinstance(option, click.Option)]
    if rows:
        parts.append(table(("Option", "Meaning", "Default"), rows))
    return "\n\n".join([*parts, *epilog(command.epilog or "")])


def paragraphs(text: str) -> list[str]:
    """Paragraphs of a help text, each on one line."""
    return [" ".join(part.split()) for part in text.replace("\b", "").split("\n\n") if part.strip()]


def option_row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    """Names with what they take, meaning with the range, default."""
    names = ", ".join(sorted(option.opts, key=lambda name: name.startswith("--")))
    takes = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    more = option.get_help_extra(context)
    within = f" ({more['range'].replace('<=', ' ≤ ').replace('>=', ' ≥ ')})" if "range" in more else ""
    default = "*required*" if "required" in more else code(more.get("default", ""))
    return code(f"{names}{takes}"), f"{option.help or ''}{within}", default


def epilog(text: str) -> list[str]:
    """Parts of the text after the options: examples and what else is a list, each with its heading."""
    parts = []
    for part in text.replace("\b\n", "").split("\n\n"):
        head, _, body = part.strip("\n").partition("\n")
        lines = textwrap.dedent(body).splitlines()
        if head == "Examples:":
            prompted = [line if line.startswith(" ") else f"$ {line}" for line in lines]
            parts.append("```console\n" + "\n".join(prompted) + "\n```")
        elif head.endswith(":") and body.startswith(" "):
            parts.append(f"{head}\n```text\n" + "\n".join(lines) + "\n```")
        elif head:
            parts.append(" ".join(part.split()))
    return parts
