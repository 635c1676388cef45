"""Draws `kubectl get outboxrelays` and `outboxrelay top` of thirty relays on a real API server, without an operator.

python3 -m tests.cluster up && python3 -m tests.cluster run -- .venv/bin/python -m tests.pictures --folder .pictures
"""

import argparse
import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.pictures.fleet import SPACES, bodies
from tests.pictures.terminal import PYTHON, Terminal, svg

COLUMNS = 120
DOCUMENT = Path("docs/top.svg")
TOP = ("-m", "outboxrelay", "top")


def kubectl(*arguments: str, stdin: Any = None, check: bool = True) -> str:
    """Run it; it must succeed."""
    done = subprocess.run(
        ["kubectl", *arguments], input=json.dumps(stdin), capture_output=True, text=True, check=False, timeout=60
    )
    if check and done.returncode:
        raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def set_up() -> None:
    """The CRD, namespaces and thirty relays; statuses that no operator would change."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds/outboxrelays.yaml")
    kubectl("wait", "--for=condition=Established", "crd/outboxrelays.outboxrelay.dev", "--timeout=30s")
    relays = bodies(datetime.now(UTC))
    spaces: list[Any] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in SPACES]
    plain = [{key: value for key, value in body.items() if key != "status"} for body in relays]
    for items in (spaces, plain):
        kubectl("apply", "--validate=false", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": items})
    for body in relays:
        name, space = body["metadata"]["name"], body["metadata"]["namespace"]
        if "status" in body:
            patch = json.dumps({"status": body["status"]})
            kubectl("patch", "obr", name, "-n", space, "--subresource=status", "--type=merge", "-p", patch)


def take_down() -> None:
    """Nothing is left but the CRD."""
    kubectl("delete", "namespace", *SPACES, "--wait=false", "--ignore-not-found")


def printed(*command: str, columns: int = COLUMNS) -> str:
    """What a command prints in a terminal of that width."""
    terminal = Terminal(command, columns=columns, lines=60, environment={**os.environ, "TERM": "xterm-256color"})
    try:
        terminal.ended()
        return terminal.output.replace("\r", "")
    finally:
        terminal.close()


def live(columns: int, lines: int) -> str:
    """What outboxrelay top shows in a terminal of that size."""
    terminal = Terminal(
        [PYTHON, *TOP, "-A"], columns=columns, lines=lines, environment={**os.environ, "TERM": "xterm-256color"}
    )
    try:
        terminal.until(lambda text: "Esc show" in text or "PgUp" in text or "q quit" in text, "the picture")
        terminal.type("q")
        terminal.ended()
        return terminal.output.split("\x1b[H", 1)[1].split("\x1b[?7h")[0].replace("\x1b[K", "").replace("\r", "")
    finally:
        terminal.close()


def main() -> None:
    """Set up, draw, take down."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".pictures"), help="where the pictures go")
    parser.add_argument("--write-docs", action="store_true", help=f"renew {DOCUMENT}")
    parser.add_argument("--keep", action="store_true", help="leave the relays there")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    set_up()
    try:
        pictures = {
            "get": (printed("kubectl", "get", "outboxrelays", "-A"), "kubectl get outboxrelays -A", COLUMNS),
            "get-wide": (printed("kubectl", "get", "outboxrelays", "-A", "-o", "wide"), "kubectl get -o wide", 300),
            "get-shop": (printed("kubectl", "get", "outboxrelays", "-n", "shop"), "kubectl get -n shop", COLUMNS),
            "top": (live(COLUMNS, 36), "outboxrelay top -A", COLUMNS),
            "top-80": (live(80, 24), "outboxrelay top -A", 80),
            "top-48": (live(48, 16), "outboxrelay top -A", 48),
            "top-once": (printed(PYTHON, *TOP, "-n", "shop", "--once"), "outboxrelay top -n shop --once", COLUMNS),
            "chain": (printed(PYTHON, "-m", "outboxrelay", "chain", "-A"), "outboxrelay chain -A", COLUMNS),
        }
    finally:
        if not options.keep:
            take_down()
    for name, (text, title, columns) in pictures.items():
        (options.folder / f"{name}.txt").write_text(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
        (options.folder / f"{name}.svg").write_text(svg(text, title, columns))
        print(f"{options.folder / name}.svg")
    if options.write_docs:
        text, title, columns = pictures["top"]
        DOCUMENT.write_text(svg(text, title, columns))
        print(DOCUMENT)


if __name__ == "__main__":
    main()
