"""The tutorial, typed from its first line to its last, with a relay by hand in the place of Kubernetes.

What it says of kubectl and helm is checked as commands (tests/unit/test_docs_commands.py). Here its SQL, its other
commands and its manifest act on the real PostgreSQL and Kafka, and what it waits for must come.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import kafka
from tests.support.fences import Block, blocks_of
from tests.support.relay_line import RelayLine, relay_line
from tests.support.relay_process import SECRET, RelayProcess

pytestmark = pytest.mark.needs_services

PAGE = Path("docs/tutorial.md")
SKIPPED = (
    *("kubectl", "helm", "make", "exit", "export", "python3 -m tests.cluster.image", "python3 -m tests.cluster run"),
    *("outboxrelay top", "outboxrelay incidents", "outboxrelay explain", 'psql "$OUTBOXRELAY_POSTGRES_URI"'),
)
"""Commands that need Kubernetes or a terminal, or whose work is done by the test's fixture."""
Report = dict[str, Any]
AWAITED: dict[str, Callable[[Report], bool]] = {
    "Ready": lambda report: report["ready"] and report["source"]["healthy"] and report["target"]["healthy"],
    "Ready=False": lambda report: report["target"]["healthy"] is False,
    "Accepted=False": lambda report: report["source"]["reason"] == "SchemaMismatch",
    "Quarantined": lambda report: report["held"]["keys"] == 1,
    "Quarantined=False": lambda report: report["held"]["keys"] == 0,
}
"""What `kubectl wait --for=condition=…` stands for in a relay's own report."""


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RelayLine]:
    async with relay_line(tmp_path) as found:
        yield found
        kafka.start()


class Reader:
    """Somebody who follows the page."""

    def __init__(self, line: RelayLine, folder: Path) -> None:
        self.line = line
        self.role = f"reader_{uuid.uuid4().hex[:8]}"
        self.file = folder / "orders.yaml"
        self.topic = f"{line.topic}-tutorial"
        self.relay: RelayProcess | None = None
        self.uri = ""
        self.outputs: list[str] = []

    def own(self, text: str) -> str:
        """``text`` with the names of this run."""
        host = self.line.uri.rpartition("@")[2].partition("/")[0]
        text = text.replace(
            "postgres.rig.test:5432/shop", f"{host}/{self.line.uri.rpartition('/')[2].partition('?')[0]}"
        )
        for name, value in {
            "kafka.rig.test:9092": self.line.servers,
            "orders.events": self.topic,
            "orders_relay": self.role,
            "orders.yaml": str(self.file),
            "ROW": self.held_row() if "ROW" in text else "",
        }.items():
            text = text.replace(name, value)
        return text

    def held_row(self) -> str:
        """Number of the row that the page asks for."""
        found = json.loads(self.shell("outboxrelay quarantine list --held -o json"))
        [row] = found if isinstance(found, list) else found["rows"]
        return str(row["row_id"])

    def shell(self, command: str) -> str:
        """What a command prints; raises AssertionError where it fails."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "URI": self.line.uri,
            "OUTBOXRELAY_DATABASE_URI": self.line.uri,
        }
        bash = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(bash, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.language == "yaml":
            self.file.write_text(self.own(block.text))
        elif block.language == "sql":
            script = self.own(block.text)
            command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", self.line.uri]
            done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{done.stderr}\n{script}"
        elif block.language == "console":
            text = re.sub(r"\\\n\s*", " ", block.text)
            for each in (item[2:] for item in text.splitlines() if item.startswith("$ ")):
                self.type(each)

    def type(self, command: str) -> None:
        """One command."""
        if found := re.search(r"from-literal=uri=(\S+)", command):
            self.uri = self.own(found[1])
        elif command.startswith("kubectl apply"):
            self.start()
        elif found := re.search(r"--for=condition=(\S+)", command):
            assert self.relay is not None
            self.relay.wait(AWAITED[found[1]], 90)
        elif "CREATE ROLE" in command:
            self.shell(self.own(command).replace("$OUTBOXRELAY_POSTGRES_URI", "$URI"))
        elif not command.startswith(SKIPPED):
            self.outputs.append(self.shell(self.own(command)))

    def start(self) -> None:
        """What `kubectl apply` starts, by hand."""
        config = yaml.safe_load(self.file.read_text())
        config["metadata"]["uid"] = self.topic
        config["spec"]["source"]["database"]["uriSecretRef"] = {"name": SECRET, "key": "uri"}
        self.relay = self.line.start(config=config, uri=self.uri)


async def test_who_follows_the_tutorial_sees_what_it_says(line: RelayLine, tmp_path: Path) -> None:
    reader = Reader(line, tmp_path)
    try:
        for block in blocks_of(PAGE):
            await asyncio.to_thread(reader.follow, block)
        printed = "\n".join(reader.outputs)
        assert re.search(r'order-7  OrderPlaced  \{"id": 7, "total": 12\}.*\norder-7  OrderPaid', printed)
        assert "2 messages" in printed
        await line.emptied()
        states = await line.database.fetch("SELECT state FROM outboxrelay.quarantine")
        assert [row["state"] for row in states] == ["Skipped"]
    finally:
        for relay in line.relays:
            await asyncio.to_thread(relay.stop)
        await line.database.execute(f"DROP OWNED BY {reader.role}; DROP ROLE {reader.role}")
