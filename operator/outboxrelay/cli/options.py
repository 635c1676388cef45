"""What several commands share: how numbers are named, and the format of what is printed."""

import re
from collections.abc import Callable
from typing import Any

import click

NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Number(click.IntRange):
    """A whole number; people read "is not a valid number"."""

    name = "number"


class RowNumber(click.types.IntParamType):
    """The number of a row in quarantine."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A positive bigint."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 2**63):
            self.fail(f"{text[:40]!r} is not the number of a row; `outboxrelay quarantine list` has them.", param, ctx)
        return int(text)


class Seconds(click.FloatRange):
    """A duration."""

    name = "seconds"


def counted(number: int, what: str) -> str:
    """So many of it: 1 relay, 2 relays."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def output(*formats: str) -> Decorator:
    """-o, of which the first of ``formats`` is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help="Format."
    )


def with_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """-n, --context and --kubeconfig, as kubectl has them."""
    for option in (
        click.option(
            "--kubeconfig", metavar="FILE", help="File that names the cluster. Default: KUBECONFIG, or ~/.kube/config."
        ),
        click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: the current one."),
        click.option("-n", "--namespace", metavar="NAME", help="Namespace. Default: that of the context."),
    ):
        command = option(command)
    return command
