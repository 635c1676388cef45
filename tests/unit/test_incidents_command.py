"""outboxrelay incidents: what it prints, against an API server that answers over HTTP."""

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from outboxrelay import cli
from outboxrelay.cli.incidents import table
from outboxrelay.decisions.incidents.listing import collect

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)


def relay(name: str, *incidents: dict[str, Any], namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "status": {"incidents": list(incidents)}}


def incident(kind: str, **changes: Any) -> dict[str, Any]:
    base = {
        "id": f"{kind}-1",
        "type": kind,
        "severity": "Critical",
        "state": "Open",
        "startedAt": "2026-01-01T00:57:50Z",
        "detectedAt": "2026-01-01T00:57:55Z",
        "reason": "Why",
        "message": "Kafka at kafka-0.kafka.svc:9092,kafka-1.kafka.svc:9092: no broker answered within 3 s",
        "runbook": f"docs/incidents/{kind}.md",
    }
    return base | changes


POISON = incident("PoisonRows", severity="Warning", message="3 rows are in quarantine", occurrences=2)
OVER = incident("NoProgress", state="Resolved", resolvedAt="2026-01-01T00:59:00Z", message="rows wait")
SHARED = [relay(f"r{number}", incident("BrokerUnavailable", parent="BrokerUnavailable-p")) for number in range(200)]
BODIES = [*SHARED, relay("orders", POISON, OVER), relay("well"), relay("billing", POISON, namespace="finance")]


def printed(width: int, *, namespaces: bool = False, resolved_too: bool = False) -> list[str]:
    found = collect(BODIES, resolved_too=resolved_too)
    return table(found, NOW, width=width, namespaces=namespaces, states=resolved_too).splitlines()


def test_what_many_relays_share_is_one_line_and_critical_ones_come_first() -> None:
    lines = printed(120)
    assert [line.split("  ")[0] for line in lines] == ["RELAY", "200 relays", "billing", "orders"]
    assert lines[1].split()[2:7] == ["BrokerUnavailable", "Critical", "2026-01-01", "00:57:50", "2m10s"]


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("namespaces", [False, True])
@pytest.mark.parametrize("resolved_too", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, namespaces: bool, resolved_too: bool) -> None:
    lines = printed(width, namespaces=namespaces, resolved_too=resolved_too)
    # What is cut is the message; of that at least a few words stay.
    assert max(map(len, lines)) <= max(width, 20 + len(lines[0]) - len("MESSAGE"))
    assert width < 100 or max(map(len, lines)) <= width


def test_eighty_columns_have_room_for_what_matters() -> None:
    lines = printed(80)
    assert max(map(len, lines)) <= 80
    assert all(word in lines[1] for word in ("200 relays", "BrokerUnavailable", "Critical", "2m10s", "Kafka"))


def test_resolved_ones_follow_where_they_are_asked_for() -> None:
    lines = printed(120, resolved_too=True)
    assert "Resolved" in lines[-1]
    assert not any("Resolved" in line for line in lines[:-1])
    assert len(printed(120)) == len(lines) - 1


class FakeServer(BaseHTTPRequestHandler):
    """Answers lists of OutboxRelays."""

    paths: list[str] = []

    def do_GET(self) -> None:
        self.paths.append(self.path.split("?")[0])
        found = [body for body in BODIES if f"/namespaces/{body['metadata']['namespace']}/" in self.path]
        items = found if "/namespaces/" in self.path else BODIES
        status = 403 if "/namespaces/forbidden/" in self.path else 200
        refusal = {"kind": "Status", "reason": "Forbidden", "message": "outboxrelays is forbidden: User x cannot list"}
        body = json.dumps({"items": items, "metadata": {}} if status == 200 else refusal).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeServer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "finance"}},
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("COLUMNS", "120")
    FakeServer.paths.clear()
    yield path
    server.shutdown()
    server.server_close()
    thread.join()


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["outboxrelay", "incidents", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "path", "relays"),
    [
        ([], "/namespaces/shop", {"200 relays", "orders"}),
        (["-n", "finance"], "/namespaces/finance", {"billing"}),
        (["--context", "two"], "/namespaces/finance", {"billing"}),
        (["-A"], "", {"200 relays", "orders", "billing"}),
    ],
)
def test_the_relays_that_are_asked_for_are_listed(
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    path: str,
    relays: set[str],
) -> None:
    code, out, _ = run(monkeypatch, capsys, *arguments, "--kubeconfig", str(kubeconfig))
    assert code == 0
    assert FakeServer.paths == [f"/apis/outboxrelay.dev/v1alpha1{path}/outboxrelays"]
    assert {name for name in ("200 relays", "orders", "billing") if name in out} == relays


def test_one_relay_without_an_incident_is_one_relay(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BODIES[-2]["metadata"], "namespace", "quiet")
    _, out, _ = run(monkeypatch, capsys, "-n", "quiet", "--kubeconfig", str(kubeconfig))
    assert out == "no open incident, 1 relay\n"


def test_json_has_every_incident_with_its_relay(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(monkeypatch, capsys, "-A", "-o", "json", "--all", "--kubeconfig", str(kubeconfig))
    found = json.loads(out)
    assert len(found) == 203
    assert found[-1] == {"namespace": "shop", "relay": "orders", **OVER, "scope": "", "occurrences": 1}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["-n", "a", "-A"], 2, "--namespace and --all-namespaces exclude each other"),
        (["-n", "../nodes"], 2, "--namespace: '../nodes' is not the name of a namespace"),
        (["--context", "three"], 2, "three"),
        (["-n", "forbidden"], 1, "outboxrelays is forbidden: User x cannot list"),
    ],
)
def test_what_goes_wrong_is_one_line(
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    exit_code: int,
    complaint: str,
) -> None:
    code, out, err = run(monkeypatch, capsys, *arguments, "--kubeconfig", str(kubeconfig))
    assert (code, out, err.count("\n")) == (exit_code, "", 1)
    assert complaint in err
