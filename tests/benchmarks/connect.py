"""A Kafka Connect worker as a process of its own, steered over REST: what Debezium runs in."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from tests.benchmarks import debezium_build, servers
from tests.support.relay_process import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOGGING = """
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c{1})%n
"""


class Connect:
    """Starts the worker, and ends it. Use as a context manager. ``settings`` are laid over its own.

    Its producers are set up for throughput as the relay's is for everything: 5 ms of linger, lz4, batches of 256 kB,
    idempotent with five requests in flight, which is faster than Connect's own default of one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.log = folder / "connect.log"
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        properties = {
            "bootstrap.servers": servers.KAFKA,
            "listeners": f"http://127.0.0.1:{port}",
            "plugin.path": str(debezium_build.jars() / "plugins"),
            "plugin.discovery": "service_load",
            "offset.storage.file.filename": str(folder / "connect.offsets"),
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "header.converter": "org.apache.kafka.connect.storage.StringConverter",
            "producer.linger.ms": "5",
            "producer.compression.type": "lz4",
            "producer.batch.size": "262144",
            "producer.enable.idempotence": "true",
            "producer.max.in.flight.requests.per.connection": "5",
            **(settings or {}),
        }
        file, logging = folder / "connect.properties", folder / "connect.log4j2.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        logging.write_text(LOGGING)
        command = ["java", "-Xms512m", "-Xmx2g", f"-Dlog4j2.configurationFile={logging}"]
        command += ["-Djava.net.preferIPv4Stack=true", "-cp", f"{debezium_build.jars()}/*"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "org.apache.kafka.connect.cli.ConnectStandalone", str(file)], stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        try:
            self._wait(lambda: isinstance(self.ask("GET", "/connectors"), list), 90, "the worker does not answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """Create a connector, and wait until its task runs."""
        self.ask("POST", "/connectors", {"name": name, "config": dict(config)})
        self.wait_for(name, "RUNNING")

    def stop(self, name: str) -> None:
        """Stop a connector, and wait until it has no tasks."""
        self.ask("PUT", f"/connectors/{name}/stop")
        self.wait_for(name, "STOPPED")

    def resume(self, name: str) -> None:
        """Let a stopped connector go on; returns at once."""
        self.ask("PUT", f"/connectors/{name}/resume")

    def delete(self, name: str) -> None:
        """Remove a connector."""
        self.ask("DELETE", f"/connectors/{name}")

    def wait_for(self, name: str, state: str) -> None:
        """Wait until a connector and its tasks are in ``state``."""

        def reached() -> bool:
            status = self.ask("GET", f"/connectors/{name}/status")
            if not isinstance(status, dict):
                return False
            tasks = [task["state"] for task in status["tasks"]]
            if "FAILED" in tasks:
                raise SystemExit(f"Debezium failed: {status['tasks'][0].get('trace', '')[:2000]}")
            done = not tasks if state == "STOPPED" else bool(tasks) and set(tasks) == {state}
            return bool(status["connector"]["state"] == state and done)

        self._wait(reached, 60, f"connector {name} is not {state}")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What REST answers; None where a question has no answer yet. Raises SystemExit where an order is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if method == "GET":
                return None
            raise SystemExit(f"Kafka Connect refuses {method} {path}: {error.read().decode()[:2000]}") from None
        except OSError:
            if method == "GET":
                return None
            raise

    def _wait(self, done: Any, seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{complaint} in {seconds} s; the end of its log:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)
