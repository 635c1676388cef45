"""outboxrelay relay: what a user got wrong ends with exit code 2 and one line that names what and where."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from outboxrelay import cli
from outboxrelay.cli.relay import load_manifest

GOOD = Path("examples/relay.yaml").read_text()


@dataclass(frozen=True)
class Result:
    """What a process would have ended with."""

    returncode: object
    stderr: str


class Run(Protocol):
    """Runs the command line."""

    def __call__(self, *arguments: str, **environment: str) -> Result: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """In this process: a process of its own would take a second for each case."""

    def main(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["outboxrelay", "relay", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Result(ended.value.code, capsys.readouterr().err)

    return main


CASES = {
    "no file": (None, "--config", "No such file"),
    "not yaml": ("a: [", "line 1", "not YAML"),
    "nested deeper than anybody reads": ("[" * 20_000, "not YAML", ""),
    "another kind": (GOOD.replace("kind: OutboxRelay", "kind: Deployment"), "kind: must be OutboxRelay", ""),
    "unknown field": (GOOD.replace("topic:", "topik:"), "spec.target.topik: unknown field", ""),
    "two relays": (f"{GOOD}\n---\n{GOOD}", "holds 2 OutboxRelays", "exactly one"),
    "no relay": ("kind: Secret\n---\nkind: ConfigMap", "holds no OutboxRelay", ""),
    "nothing": ("", "holds no OutboxRelay", ""),
    "wrong value": (GOOD.replace("protocol: PLAINTEXT", "protocol: TCP"), "spec.target.protocol", "'TCP'"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_config_file_is_refused_in_one_line(run: Run, tmp_path: Path, case: str) -> None:
    text, *words = CASES[case]
    file = tmp_path / "relay.yaml"
    if text is not None:
        file.write_text(text)
    result = run("--config", str(file), "--credentials", str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert str(file) in result.stderr
    for word in words:
        assert word in result.stderr


def test_of_a_file_with_a_secret_beside_the_relay_the_relay_is_taken() -> None:
    assert load_manifest(Path("examples/orders.yaml")).identity.name == "orders"


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--port", "70000"], {}, "--port"),
        (["--nonsense"], {}, "--nonsense"),
        (["--config", "examples/relay.yaml", "--credentials", "/nowhere"], {}, "--credentials /nowhere"),
        ([], {"OUTBOXRELAY_RELAY_PROT": "1"}, "OUTBOXRELAY_RELAY_PROT"),
        ([], {"OUTBOXRELAY_RELAY_PORT": "many"}, "many"),
    ],
)
def test_a_broken_flag_or_variable_is_refused_in_one_line(
    run: Run, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    result = run(*arguments, **environment)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
