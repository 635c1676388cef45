"""Every command: help with examples that are right, an output for programs, errors of one line that say what to do."""

import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import click
import pytest
import yaml

from outboxrelay import cli
from outboxrelay.cli import (  # noqa: F401 - they register
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

NO_OUTPUT = {
    "outboxrelay controller": "runs until SIGTERM, and its logs are JSON",
    "outboxrelay relay": "runs until SIGTERM, and its logs are JSON",
}
"""Commands without -o, and why."""
EXAMPLE = re.compile(r"^\s*((?:[A-Z_]+=\S+ )*outboxrelay .*)$")
URI = "OUTBOXRELAY_DATABASE_URI"


def tree(command: click.Command = cli.cli, path: str = "outboxrelay") -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, groups included."""
    yield path, command
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from tree(inner, f"{path} {name}")


COMMANDS = dict(tree())


def help_of(path: str, width: int) -> str:
    context = None
    for name, command in ((p, c) for p, c in COMMANDS.items() if f"{path} ".startswith(f"{p} ")):
        settings = {"terminal_width": width, **command.context_settings}
        context = click.Context(command, parent=context, info_name=name.split()[-1], **settings)
    assert context is not None
    return context.get_help()


def examples(text: str) -> list[str]:
    """Command lines of ours in ``text``, continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [" ".join(match[1].split()) for line in lines if (match := EXAMPLE.match(line))]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_explains_itself_with_examples(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    assert "Examples:" in (command.epilog or "")
    assert any(path in example for example in examples(command.epilog or ""))
    for option in command.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None), option.name


@pytest.mark.parametrize("path", COMMANDS)
def test_every_example_is_a_command_line_that_is_understood(path: str) -> None:
    for line in examples(COMMANDS[path].epilog or ""):
        words = shlex.split(line.split("|")[0])
        variables = [word.split("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
        name, *rest = [word for word in words if not re.match(r"[A-Z_]+=", word)]
        command, at = COMMANDS[name], name
        while isinstance(command, click.Group):
            at = f"{at} {rest.pop(0)}"
            command = COMMANDS[at]
        command.make_context(at, rest).close()
        known = {f"{at}_{option.name}".replace(" ", "_").upper() for option in command.params}
        known |= {str(option.envvar) for option in command.params}
        assert set(variables) <= known


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_that_prints_has_an_output_for_programs(path: str) -> None:
    command = COMMANDS[path]
    outputs = [option for option in command.params if "--output" in option.opts]
    if isinstance(command, click.Group) or path in NO_OUTPUT:
        assert not outputs
        return
    assert outputs[0].opts == ["-o", "--output"]
    assert isinstance(outputs[0].type, click.Choice)
    assert "json" in outputs[0].type.choices


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("path", COMMANDS)
def test_help_fits_the_terminal(path: str, width: int) -> None:
    text = help_of(path, width)
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert "\b" not in text
    assert "..." not in text.replace("[ARGS]...", ""), "a summary was cut"


class Ended(NamedTuple):
    """What a process would have ended with."""

    code: object
    out: str
    err: str


class Run(Protocol):
    """Runs the command line in this process."""

    def __call__(self, *arguments: str, **environment: str) -> Ended: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in os.environ:
        if name.startswith(("OUTBOXRELAY_", "POD_", "KUBE")):
            monkeypatch.delenv(name)

    def main(*arguments: str, **environment: str) -> Ended:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["outboxrelay", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    return main


LEASE = ("controller", "--relay-image", "x", "--lease-namespace", "a")
REPLAY = ("quarantine", "replay")
REFUSED = {
    "a command that is none": (["nope"], {}, "'nope'. See `outboxrelay --help`."),
    "a subcommand that is none": (["quarantine", "nope"], {}, "See `outboxrelay quarantine --help`."),
    "an option that is none": (["crd", "--yaml"], {}, "See `outboxrelay crd --help`."),
    "an argument too many": (["crd", "more"], {}, "argument (more). See `outboxrelay crd --help`."),
    "no image": (["controller"], {}, "--relay-image"),
    "no lease namespace": (["controller", "--relay-image", "x"], {}, "give it, or set POD_NAMESPACE"),
    "a namespace that is none": ([*LEASE, "--namespace", "A_b"], {}, "'A_b' is not the name of a namespace"),
    "a misspelt variable": ([*LEASE], {"OUTBOXRELAY_CONTROLLER_PROT": "1"}, "is it OUTBOXRELAY_CONTROLLER_PORT?"),
    "a misspelt variable of a subcommand": (
        ["quarantine", "list"],
        {"OUTBOXRELAY_QUARANTINE_LIST_LIMTI": "1"},
        "is it OUTBOXRELAY_QUARANTINE_LIST_LIMIT?",
    ),
    "no such credentials": (
        ["relay", "--config", "examples/relay.yaml", "--credentials", "/nowhere"],
        {},
        "give one that holds SECRET/KEY",
    ),
    "no manifest": (["relay", "--config", "/nowhere"], {}, "name the OutboxRelay manifest"),
    "no database": (["quarantine", "list"], {}, f"--uri-file, or set {URI}"),
    "no file": (["quarantine", "list", "--uri-file", "/nowhere"], {}, "--uri-file /nowhere: No such file"),
    "no URI": (["quarantine", "list"], {URI: "mysql://x"}, f"{URI} must start with postgresql://"),
    "NUL in a URI": (["quarantine", "list"], {URI: "postgresql://u:p@h%00/d"}, "holds a NUL character"),
    "an sslmode that is none": (["quarantine", "list"], {URI: "postgresql://u@h/d?sslmode=no"}, "sslmode"),
    "no row": (["quarantine", "show"], {}, "ROW"),
    "a row that is no number": (["quarantine", "show", "x"], {}, "`outboxrelay quarantine list` has them"),
    "a row beyond 64 bits": (["quarantine", "show", str(2**63)], {}, "is not the number of a row"),
    "a limit of nothing": (["quarantine", "list", "--limit", "0"], {}, "--limit"),
    "a limit that is no number": (["quarantine", "list", "--limit", "x"], {}, "'x' is not a valid number"),
    "no filter": ([*REPLAY], {}, "name rows by --id, --key or --reason, or say --all"),
    "a filter and all": ([*REPLAY, "--all", "--id", "3"], {}, "leave --all away"),
    "a reason that is none": ([*REPLAY, "--reason", "Bad"], {}, "'RowTooLarge'"),
    "a relay without namespace": ([*REPLAY, "--all", "--relay", "orders"], {}, "write it as namespace/name"),
    "held rows by number": (["quarantine", "list", "--held", "--id", "3"], {}, "leave --id and --state away"),
    "force where nothing is sent": (["quarantine", "skip", "--id", "3", "--force"], {}, "--force"),
    "no row to add": (["quarantine", "add", "--config", "examples/relay.yaml"], {}, "--row"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_asked_wrongly_ends_with_2_and_one_line_that_says_what_to_do(run: Run, case: str) -> None:
    arguments, environment, words = REFUSED[case]
    ended = run(*arguments, **environment)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("outboxrelay: ")
    assert words in ended.err


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("postgresql://u:secret@127.0.0.1:1/d?sslmode=disable", "check host, port and database in"),
        ("postgresql://u:secret@a..b/d?sslmode=disable", "host name 'a..b' is none"),
        (f"postgresql://u:secret@{'a' * 64}.b/d?sslmode=disable", "1 to 63 characters"),
    ],
)
def test_a_database_that_cannot_be_reached_ends_with_1_and_no_password(run: Run, uri: str, words: str) -> None:
    ended = run("quarantine", "list", **{URI: uri})
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert words in ended.err
    assert "secret" not in ended.err


def test_a_port_that_is_taken_ends_with_1_and_says_so(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        config = ["--config", "examples/relay.yaml", "--credentials", "examples/credentials"]
        ended = run("relay", *config, "--host", "127.0.0.1", "--port", port, "--log-level", "error")
    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; give another --port" in ended.err


@pytest.mark.parametrize("text", [None, "text", "\x8e", "a: [", "{}"])
def test_a_cluster_that_is_not_there_ends_with_1_and_says_where_it_was_looked_for(
    run: Run, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    ended = run(*LEASE, "--log-level", "error", KUBECONFIG=str(file))
    assert ended.code == 1
    assert "cannot find the cluster" in ended.err
    assert "set KUBECONFIG" in ended.err


def test_the_definition_is_the_same_for_people_and_for_programs(run: Run) -> None:
    assert json.loads(run("crd", "-o", "json").out) == yaml.safe_load(run("crd").out)


def test_nothing_to_do_shows_the_help_and_ends_with_2(run: Run) -> None:
    for arguments in ([], ["quarantine"]):
        ended = run(*arguments)
        assert (ended.code, "Examples:" in ended.err) == (2, True)


def test_rows_are_cut_at_the_width_of_a_terminal_and_whole_in_a_pipe() -> None:
    rows = [{"id": 17, "key": "customer-4711", "message": "not sent: 30123 bytes, topic orders takes 20000"}]
    whole = quarantine.table(rows, ["id", "key", "message"]).splitlines()
    assert whole[1].endswith("takes 20000")
    cut = quarantine.table(rows, ["id", "key", "message"], 40).splitlines()
    assert [len(line) for line in cut] == [len("ID  KEY            MESSAGE"), 40]
    assert cut[1].endswith("…")
