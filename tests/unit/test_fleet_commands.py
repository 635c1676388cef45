"""outboxrelay top and outboxrelay chain: as processes, in a pipe and in a terminal, against an API server over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from outboxrelay import cli
from tests.pictures.fleet import bodies
from tests.pictures.terminal import Terminal
from tests.unit.test_chains import relay
from tests.unit.test_fleet import NOW

Command = Callable[..., tuple[object, str, str]]
FLEET = bodies(NOW)
CHAIN = [relay("orders"), relay("stock", "orders", lag=130), relay("shipping", "stock", "gone")]


class Server(ThreadingHTTPServer):
    """Lists ``items``; refuses with ``status``."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.items: list[Any] = FLEET
        self.status = 200
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        super().__init__(("127.0.0.1", port), Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """No answer any more."""
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    """One list."""

    server: Server

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        self.server.asked.append((path.path, parse_qs(path.query)))
        space = path.path.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in path.path else None
        items = [
            item
            for item in self.server.items
            if not isinstance(item, dict) or space in (None, item["metadata"]["namespace"])
        ]
        refusal = {"kind": "Status", "reason": "Refused", "message": "outboxrelays is forbidden: User x cannot list"}
        body = json.dumps({"items": items, "metadata": {}} if self.server.status == 200 else refusal).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def kubeconfig(server: Server, tmp_path: Path) -> str:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.fixture
def run(kubeconfig: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Exit code, output and errors."""

    def main(*arguments: str) -> tuple[object, str, str]:
        capsys.readouterr()
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "argv", ["outboxrelay", *arguments, "--kubeconfig", kubeconfig])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return main


def test_without_a_terminal_it_is_one_table_with_whole_names_and_no_colours(run: Command, server: Server) -> None:
    code, out, _ = run("top", "-A")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 32)
    assert lines[0].split()[:3] == ["NAMESPACE", "NAME", "STATE"]
    assert lines[-1].startswith("30 relays  8 failing")
    assert "\x1b" not in out
    assert server.asked == [
        ("/apis/outboxrelay.dev/v1alpha1/outboxrelays", {"limit": ["500"], "resourceVersion": ["0"]})
    ]


def test_the_namespace_the_labels_and_words_choose_relays(run: Command, server: Server) -> None:
    out = run("top", "broker", "-n", "payments", "-l", "team=a")[1]
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "captures", "fraud-scores", "disputes", "3"]
    assert out.splitlines()[-1].startswith("3 of 11 relays")
    assert server.asked[0][0].endswith("/namespaces/payments/outboxrelays")
    assert server.asked[0][1]["labelSelector"] == ["team=a"]


def test_wide_adds_table_and_topic_and_json_has_everything(run: Command) -> None:
    out = run("top", "-o", "wide", "--sort", "lag", "--reverse")[1]
    assert out.splitlines()[0].split()[-3:] == ["TABLE", "TOPIC", "MESSAGE"]
    assert out.splitlines()[-2].split()[0] == "gift-cards"
    found = json.loads(run("top", "-A", "--failing", "-o", "json", "--sort", "lag")[1])
    assert found["summary"]["relays"] == 30
    assert found["summary"]["backlogExact"] is False
    assert found["relays"][0]["name"] == "payouts"
    assert found["relays"][0]["lagSeconds"] == 420
    assert found["relays"][0]["incidents"][0]["type"] == "NoProgress"
    assert {item["health"] for item in found["relays"]} == {"Failing", "Unknown"}


def test_a_chain_is_printed_in_order_with_what_holds_it_and_what_is_wrong(run: Command, server: Server) -> None:
    server.items = CHAIN
    code, out, _ = run("chain", "orders")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "shop/gone → shipping: 4 relays, lag at least 2m12s in all"
    assert lines[1] == "held up by gone: not delivering: NotFound: there is no such OutboxRelay"
    assert [line.split()[1] for line in lines[3:7]] == ["gone", "orders", "stock", "shipping"]
    assert lines[7].startswith("missing: shipping depends on gone, and namespace shop has no OutboxRelay of that name")
    (found,) = json.loads(run("chain", "-o", "json")[1])
    assert [[member["name"] for member in stage] for stage in found["stages"]] == [
        ["gone", "orders"],
        ["stock"],
        ["shipping"],
    ]
    assert found["heldBy"] == {
        "relay": "gone", "why": "NotDelivering", "message": "not delivering: NotFound: there is no such OutboxRelay"
    }  # fmt: skip
    assert found["stages"][1][0]["lagSeconds"] == 130


def test_no_chain_says_how_one_is_declared(run: Command, server: Server) -> None:
    server.items = [relay("orders")]
    code, out, _ = run("chain")
    assert code == 0
    assert out.startswith("no chain among 1 relay: name what feeds a relay in its spec.dependsOn, or label relays ")


@pytest.mark.parametrize(
    ("arguments", "status", "code", "complaint"),
    [
        (["top", "-n", "a", "-A"], 200, 2, "--namespace and --all-namespaces exclude each other"),
        (["top", "-n", "../nodes"], 200, 2, "--namespace: '../nodes' is not the name of a namespace"),
        (["top", "--sort", "size"], 200, 2, "'size' is not one of"),
        (["top", "--interval", "0"], 200, 2, "--interval"),
        (["top", "--context", "two"], 200, 2, "the kubeconfig has no context two"),
        (["top"], 403, 1, "outboxrelays is forbidden: User x cannot list"),
        (["top"], 404, 1, "the cluster knows no OutboxRelay: install the operator, or give --context"),
        (["chain"], 403, 1, "outboxrelays is forbidden"),
        (["chain", "-n", "a", "-A"], 200, 2, "exclude each other"),
        (["chain", "carts"], 200, 2, "carts is in no chain: name what feeds a relay in its spec.dependsOn"),
        (["chain", "nothing"], 200, 2, "there is no OutboxRelay or chain 'nothing' in this namespace"),
        (["chain", "a\x1bb"], 200, 2, "RELAY: give the name of an OutboxRelay or of a chain"),
    ],
)
def test_what_goes_wrong_is_one_line(
    run: Command, server: Server, arguments: list[str], status: int, code: int, complaint: str
) -> None:
    server.status = status
    ended = run(*arguments)
    assert (ended[0], ended[1], ended[2].count("\n")) == (code, "", 1)
    assert complaint in ended[2]


Start = Callable[..., Terminal]


@pytest.fixture
def start(kubeconfig: str) -> Iterator[Start]:
    """outboxrelay top in a terminal."""
    started: list[Terminal] = []

    def begin(*arguments: str, columns: int = 120, lines: int = 40, **environment: str) -> Terminal:
        variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
        command = [sys.executable, "-m", "outboxrelay", "top", "--kubeconfig", kubeconfig, *arguments]
        terminal = Terminal(
            command,
            columns=columns,
            lines=lines,
            environment=variables | {"TERM": "xterm", "PYTHONUNBUFFERED": "1"} | environment,
        )
        started.append(terminal)
        return terminal

    yield begin
    for terminal in started:
        terminal.close()


def is_put_back(terminal: Terminal) -> bool:
    """The screen, the cursor, the wrapping of lines, and how keys are read."""
    return terminal.output.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l") and terminal.settings() == terminal.before


def test_keys_change_the_picture_and_q_puts_the_terminal_back(start: Start) -> None:
    terminal = start("-A", "--interval", "1")
    terminal.until(lambda text: "wishlists" in text, "the fleet")
    assert "\x1b[1;31mNoProgress" in terminal.screen()
    terminal.type("/brokerun\rs")
    terminal.until(lambda _: "by lag" in terminal.screen() and "3 of 30 relays" in terminal.screen(), "the filter")
    terminal.resize(60, 12)
    terminal.until(lambda _: "BACKLOG" in terminal.screen() and "OUT/S" not in terminal.screen(), "the narrow table")
    terminal.type("q")
    assert terminal.ended() == 0
    assert is_put_back(terminal)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_put_the_terminal_back(start: Start, number: signal.Signals, code: int) -> None:
    terminal = start("-A")
    terminal.until(lambda text: "q quit" in text, "the fleet")
    if number is signal.SIGINT:
        terminal.type("\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.ended() == code
    assert is_put_back(terminal)


def test_a_crash_puts_the_terminal_back_and_is_told(start: Start, server: Server) -> None:
    terminal = start("-A", "--interval", "1")
    terminal.until(lambda text: "q quit" in text, "the fleet")
    # An API server answers no such thing; what nobody thought of must end the command, loudly.
    server.items = [{"metadata": {"namespace": "shop"}}, 5]
    assert terminal.ended() == 1
    screen, told = terminal.output.split("\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert "Traceback" in told
    assert "Traceback" not in screen
    assert terminal.settings() == terminal.before


def test_ctrl_z_gives_the_terminal_to_the_shell_until_it_goes_on(start: Start) -> None:
    terminal = start("-A")
    terminal.until(lambda text: "q quit" in text, "the fleet")
    terminal.process.send_signal(signal.SIGTSTP)
    terminal.until(lambda text: text.endswith("\x1b[?1049l"), "the shell's screen")
    _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert terminal.settings() == terminal.before
    terminal.process.send_signal(signal.SIGCONT)
    terminal.until(lambda text: text.count("\x1b[?1049h") == 2 and "q quit" in terminal.screen(), "the fleet again")
    terminal.type("q")
    assert terminal.ended() == 0
    assert is_put_back(terminal)


def test_it_outlives_the_api_server_and_goes_on_by_itself(start: Start, server: Server) -> None:
    terminal = start("-A", "--interval", "1")
    terminal.until(lambda text: "q quit" in text, "the fleet")
    port = server.server_address[1]
    server.stop()
    terminal.until(lambda _: "no news since" in terminal.screen() and "q quit" in terminal.screen(), "no answer")
    assert "wishlists" in terminal.screen()
    again = Server(port)
    try:
        again.items = FLEET[:1]
        terminal.until(lambda _: "1 relay " in terminal.screen() and "no news" not in terminal.screen(), "news")
    finally:
        again.stop()
    terminal.type("q")
    assert terminal.ended() == 0


def test_who_sets_no_color_gets_none(start: Start) -> None:
    terminal = start("-A", "--once", NO_COLOR="1")
    assert terminal.ended() == 0
    assert "wishlists" in terminal.output
    assert "\x1b" not in terminal.output


def test_a_terminal_that_can_do_nothing_gets_one_table(start: Start) -> None:
    terminal = start(TERM="dumb", columns=80)
    assert terminal.ended() == 0
    assert "\x1b" not in terminal.output
    assert max(len(line) for line in terminal.output.splitlines()) <= 80


def test_the_first_reading_that_fails_leaves_one_line_and_no_screen(start: Start, server: Server) -> None:
    server.status = 403
    terminal = start("-A")
    assert terminal.ended() == 1
    assert terminal.output.strip() == "outboxrelay: outboxrelays is forbidden: User x cannot list"


def test_a_pipe_that_is_closed_is_no_traceback(kubeconfig: str) -> None:
    command = f"{sys.executable} -m outboxrelay top -A --kubeconfig {kubeconfig} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
