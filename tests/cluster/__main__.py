"""``python3 -m tests.cluster COMMAND``: the local cluster from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from . import (
    components,
    environment,
    images,
    kafka,
    lock,
    packages,
    paths,
    postgres,
    postgres_build,
    progress,
    root,
    status,
    teardown,
    up,
)
from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_SERVERS: dict[str, tuple[ModuleType, tuple[str, ...]]] = {
    "kafka": (kafka, ("start", "stop", "restart", "kill", "freeze", "thaw")),
    "postgres": (postgres, ("start", "stop", "restart", "kill", "freeze", "thaw")),
}


def main(arguments: list[str]) -> int:
    """Run one command; what it needs that is missing is told in words, not in a traceback."""
    options = _parser().parse_args(arguments)
    try:
        root.ensure(arguments)
        options.act(options)
    except ClusterError as error:
        progress.complain(str(error))
        return 1
    except KeyboardInterrupt:
        progress.complain("interrupted; what is up stays up. To remove it: python3 -m tests.cluster down")
        # Threads that wait for a build would keep this process.
        os._exit(130)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.cluster",
        description=__doc__,
        epilog="Several clusters can be up at once: OUTBOXRELAY_CLUSTER names the one that is meant (local).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bring = _command(commands, "up", "bring the cluster up, or what of it is not up", _up)
    bring.add_argument("--services-only", action="store_true", help="PostgreSQL and Kafka without Kubernetes")
    bring.add_argument("--postgres", choices=tuple(postgres_build.RELEASES), help="another server than Debian's")
    _command(commands, "down", "remove the cluster and all traces of it, except the cache", _down)
    _command(commands, "status", "what runs", lambda _: progress.answer(status.report()))
    _command(commands, "browser", "install Chromium where it is missing", lambda _: packages.ensure(("browser",)))
    _command(commands, "env", "the environment of the cluster's users, for eval", _env)
    run = _command(commands, "run", "run a command inside", _run)
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    load = _command(commands, "image-load", "load a docker-archive into the node", _load)
    load.add_argument("tar")
    for name, (module, verbs) in _SERVERS.items():
        server = _command(commands, name, f"{', '.join(verbs)} {name}", _serve)
        server.add_argument("verb", choices=verbs)
        server.set_defaults(server=module)
    component = _command(commands, "component", "stop, start, kill or freeze a part of Kubernetes", _component)
    component.add_argument("verb", choices=("start", "stop", "kill", "freeze", "thaw"))
    component.add_argument("name", choices=components.NAMES)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    help_text: str,
    act: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_text)
    parser.set_defaults(act=act)
    return parser


def _up(options: argparse.Namespace) -> None:
    with lock.held(paths.LOCK, "another `up` or `down`"):
        up.up(services_only=options.services_only, postgres_version=options.postgres)


def _down(_: argparse.Namespace) -> None:
    with lock.held(paths.LOCK, "another `up` or `down`"):
        teardown.down()


def _env(_: argparse.Namespace) -> None:
    progress.answer(environment.exports())


def _run(options: argparse.Namespace) -> None:
    command: list[str] = options.command
    environment.run(command[1:] if command[:1] == ["--"] else command)


def _load(options: argparse.Namespace) -> None:
    images.load(options.tar)


def _serve(options: argparse.Namespace) -> None:
    if not paths.STATE.exists():
        raise ClusterError("the cluster is not up; start it with: python3 -m tests.cluster up")
    getattr(options.server, options.verb)()


def _component(options: argparse.Namespace) -> None:
    getattr(components, options.verb)(options.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
