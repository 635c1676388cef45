"""A relay as a process of its own, by hand: for benchmarks and for tests that kill what they measure."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from .merging import merged

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

SECRET = "source"
AS_IN_THE_IMAGE = "import sys; sys.modules['rich'] = None; from outboxrelay.cli import main; main()"
"""Without a package that only pictures need and that structlog loads, 3 MB of it, wherever it is there."""
FIRST_ANSWER_SECONDS = 90.0
"""How long a new process may need to answer at all on a machine that is busy with other tests."""


def manifest(*, table: str, topic: str, servers: str, name: str = "bench", **spec: Any) -> dict[str, Any]:
    """An OutboxRelay of ``table`` that finds its database URI in key ``uri`` of Secret ``source``."""
    source = {"database": {"uriSecretRef": {"name": SECRET, "key": "uri"}}, "table": {"name": table}}
    target = {"bootstrapServers": servers.split(","), "topic": topic, "protocol": "PLAINTEXT"}
    return {
        "apiVersion": "outboxrelay.dev/v1alpha1",
        "kind": "OutboxRelay",
        "metadata": {"name": name, "namespace": "default", "uid": f"{name}-{topic}"},
        "spec": merged({"source": source, "target": target}, spec),
    }


class RelayProcess:
    """Starts `outboxrelay relay`, asks it for /state, and ends it. Use as a context manager."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], uri: str, member: str = "relay-0", port: int = 0
    ) -> None:
        self.log = folder / f"{member}.log"
        self._has_answered = False
        self.port = port or free_port()
        file = folder / f"{member}.yaml"
        file.write_text(yaml.safe_dump(dict(config)))
        secret = folder / "credentials" / SECRET
        secret.mkdir(parents=True, exist_ok=True)
        (secret / "uri").write_text(uri)
        command = [sys.executable, "-c", AS_IN_THE_IMAGE, "relay", "--config", str(file)]
        command += ["--credentials", str(secret.parent), "--port", str(self.port), "--member", member]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def state(self) -> dict[str, Any] | None:
        """The relay's report, or None while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/state", timeout=3) as answer:
                found: dict[str, Any] = json.load(answer)
                self._has_answered = True
                return found
        except (urllib.error.URLError, OSError):
            return None

    def metric(self, name: str) -> list[float]:
        """Values at /metrics of the series ``name``, one for each set of labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=3) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return [sample.value for family in families for sample in family.samples if sample.name == name]

    def wait(self, condition: Callable[[dict[str, Any]], bool], seconds: float, pause: float = 0.05) -> dict[str, Any]:
        """The first report that satisfies ``condition``; raises with the end of the log where none does in time.

        ``seconds`` count from the process's first answer: how long Python takes to start is nobody's promise.
        """
        report = self._first_answer()
        if report is not None and condition(report):
            return report
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            report = self.state()
            if report is not None and condition(report):
                return report
            time.sleep(pause)
        raise TimeoutError(f"the relay did not get there in {seconds} s: {report}\n{self.log.read_text()[-3000:]}")

    def _first_answer(self) -> dict[str, Any] | None:
        deadline = time.monotonic() + FIRST_ANSWER_SECONDS
        while not self._has_answered and time.monotonic() < deadline and self.process.poll() is None:
            if (report := self.state()) is not None:
                return report
            time.sleep(0.05)
        return None

    def wait_ready(self, seconds: float = 30) -> dict[str, Any]:
        """Its report when it is ready and owns shards."""
        return self.wait(lambda report: bool(report["ready"] and report["shards"]["owned"]), seconds)

    def memory_mb(self, field: str = "VmRSS") -> float:
        """Resident memory (or VmHWM, its peak) in MB of 10^6 bytes."""
        return memory_mb(self.process.pid, field)

    def cpu_seconds(self) -> float:
        """Processor seconds used so far."""
        return cpu_seconds(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self, seconds: float = 30) -> int:
        """End it in order (SIGTERM), at once where that takes too long; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Memory of a process in MB of 10^6 bytes, from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"process {pid} has no {field}")


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
