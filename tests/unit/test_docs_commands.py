"""Every command line in the documentation is one: of our programs by their parsers, of others by what they know."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from markdown_it import MarkdownIt

from outboxrelay.api import names
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.schema import custom_resource_definition
from tests.cluster.__main__ import _parser
from tests.reference.commands import commands as every_command
from tests.support.crd_rules import minimal
from tests.support.fences import PAGES, Block, blocks, commands
from tests.support.merging import merged

CONSOLES = blocks("console")
PLACEHOLDERS = {"ID": "17", "NAMESPACE": "shop", "NAME": "orders", "ROW": "4711", "TABLE": "outbox", "ROLE": "relay"}
"""Words in capitals, which readers replace."""
ELIDED = "…"
EVERY = dict(every_command())
LABELLED = {"console", "yaml", "sql", "python", "promql", "json", "text", "java", "go", "js", "csharp", "ruby",
            "{toctree}", "{include}"}  # fmt: skip
HELM = {
    "install": {"--namespace", "-n", "--create-namespace", "--set", "--values", "-f", "--wait"},
    "upgrade": {
        *("--namespace", "-n", "--install", "--set", "--values", "-f"),
        *("--reuse-values", "--reset-then-reuse-values", "--take-ownership"),
    },
    "uninstall": {"--namespace", "-n"},
    "test": {"--namespace", "-n", "--logs"},
    "rollback": {"--namespace", "-n"},
    "history": {"--namespace", "-n"},
}
"""What is used of Helm; the chart's own tests run these."""
KUBECTL = {
    "annotate", "apply", "create", "delete", "describe", "exec", "explain", "get", "logs", "outboxrelay", "patch",
    "port-forward", "rollout", "run", "scale", "wait",
}  # fmt: skip
OTHERS = {"psql", "jq", "curl", "docker", "openssl", "kafka-topics.sh", "kafka-acls.sh", "bash", "exit", "export",
          "python", "tail"}  # fmt: skip
"""Programs that are not ours, and of which nothing is checked."""


def replaced(word: str) -> str:
    """``word`` with what a reader would put there."""
    return re.sub(r"\b[A-Z]{2,}\b", lambda found: PLACEHOLDERS.get(found[0], found[0]), word)


def our_command(words: list[str]) -> None:
    """Parse it; raises click.UsageError."""
    command: click.Command = EVERY["outboxrelay"]
    path, rest = "outboxrelay", [replaced(word) for word in words[1:] if word != ELIDED]
    while isinstance(command, click.Group):
        assert rest, f"{path}: which of its commands?"
        path = f"{path} {rest.pop(0)}"
        assert path in EVERY, path
        command = EVERY[path]
    command.make_context(path, rest).close()


def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path("charts/outbox-relay-operator/values.yaml").read_text())
    return loaded


def helm(words: list[str]) -> None:
    """Its command and flags are used elsewhere too, and --set names values that there are."""
    verb, rest = words[1], words[2:]
    assert {word for word in rest if word.startswith("-")} <= HELM[verb], words
    for flag, value in pairwise(rest):
        if flag == "--set":
            for name in re.findall(r"(?:^|,)([A-Za-z][\w.\\]*)=", re.sub(r"\{.*?\}", "", value)):
                part: Any = values()
                for step in name.split("."):
                    assert step in part, f"the chart has no value {name}"
                    part = part[step]
    charts = [word for word in rest if word.startswith("charts/")]
    assert all(Path(chart).is_dir() for chart in charts)


def field(path: str) -> None:
    """A path into an OutboxRelay, without its first dot; raises AssertionError where there is no such field."""
    part = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in re.split(r"\.", path):
        name = re.sub(r"\[.*", "", step)
        if part["properties"].get("metadata") is not None and name == "metadata":
            return
        assert name in part["properties"], f"an OutboxRelay has no {path}"
        part = part["properties"][name]
        part = part.get("items", part)


def kubectl(words: list[str]) -> None:
    """Its verb is one, its files are there, and what it says of OutboxRelays fits the definition."""
    rest = words[1:]
    if rest[0] in ("-n", "--namespace", "--context"):
        rest = rest[2:]
    verb, rest = rest[0], rest[1:]
    assert verb in KUBECTL, words
    if verb == "outboxrelay":
        our_command(["outboxrelay", *rest])
        return
    if verb == "exec":
        verify(rest[rest.index("--") + 1 :])
        return
    for flag, value in pairwise(rest):
        if flag in ("-f", "--filename") and value != "-" and value.startswith(("examples/", "crds/")):
            assert Path(value).exists(), value
    text = " ".join(rest)
    known = {value for name, value in vars(names).items() if name.startswith(("LABEL_", "ANNOTATION_"))}
    assert set(re.findall(rf"{names.GROUP}/[\w-]+", text)) <= known
    if verb == "explain":
        field(rest[0].partition(".")[2])
    if "outboxrelay" in text:
        for path in re.findall(r"jsonpath=\{\.([\w.\[\]*]+)\}", text):
            field(path)
    if verb == "patch":
        manifest = merged(minimal(), json.loads(rest[rest.index("-p") + 1]))
        parse_manifest(manifest)


def make(words: list[str]) -> None:
    """Targets and variables are those of the Makefile."""
    text = Path("Makefile").read_text()
    for word in words[1:]:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert f"$({name})" in text or f"{name}=" in text, word
        else:
            assert re.search(rf"^{name}:", text, re.MULTILINE), word


def python(words: list[str]) -> None:
    """A module that there is; the local cluster's with arguments that it takes."""
    assert words[1] == "-m", words
    module = Path(words[2].replace(".", "/"))
    assert module.with_suffix(".py").exists() or (module / "__main__.py").exists() or words[2] == "venv", words
    if words[2] == "tests.cluster":
        inner = words[words.index("--") + 1 :] if "--" in words else []
        _parser().parse_args(words[3 : len(words) - len(inner)] + inner)
        if inner:
            verify(inner)


def verify(words: list[str]) -> None:
    """A command line; raises whatever its parser raises."""
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    known: dict[str, Callable[[list[str]], None]] = {
        "outboxrelay": our_command,
        "helm": helm,
        "kubectl": kubectl,
        "make": make,
        "python3": python,
    }
    if words[0] in known:
        known[words[0]](words)
    else:
        assert words[0] in OTHERS or words[0].startswith(".venv/bin/"), f"{words[0]}: what is it?"


@pytest.mark.parametrize("block", CONSOLES, ids=str)
def test_every_command_in_the_documentation_is_one(block: Block) -> None:
    found = commands(block)
    assert found, f"{block}: no line begins with a prompt"
    for words in found:
        try:
            verify(words)
        except (click.UsageError, SystemExit, ValueError) as error:
            pytest.fail(f"{block}: {' '.join(words)}: {error}")


def inline() -> Iterator[tuple[Path, str]]:
    """Commands of ours within sentences."""
    for page in PAGES:
        for token in MarkdownIt().enable("table").parse(page.read_text()):
            for item in token.children or ():
                if item.type == "code_inline" and item.content.startswith("outboxrelay "):
                    yield page, item.content


def test_commands_within_sentences_exist_with_their_options() -> None:
    wrong = []
    for page, text in inline():
        command: Any = EVERY["outboxrelay"]
        words = text.split()[1:]
        while words and isinstance(command, click.Group) and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        options = {name for item in command.params for name in item.opts} | {"--help"}
        unknown = {word for word in words if re.fullmatch(r"--?[A-Za-z-]+", word)} - options
        if unknown or (isinstance(command, click.Group) and words and re.match(r"[a-z]", words[0])):
            wrong.append(f"{page}: {text}")
    assert wrong == []
    assert len(list(inline())) > 20


def test_blocks_say_what_language_they_are_in_and_commands_have_a_prompt() -> None:
    wrong = [
        f"{block}: {block.language}" for block in blocks() if block.language.partition(" ")[0] not in LABELLED | {""}
    ]
    command = re.compile(r"^(?:\$ |outboxrelay |kubectl |helm |make )", re.MULTILINE)
    wrong += [
        f"{block}: it has commands: label it console"
        for block in [item for item in blocks() if not item.language]
        if command.search(block.text)
    ]
    assert wrong == []
