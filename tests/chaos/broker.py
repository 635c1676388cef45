"""A Kafka of the chaos runs' own, that can be killed, frozen and restarted while other tests use theirs."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from tests.cluster import kafka_build, paths

if TYPE_CHECKING:
    from pathlib import Path

PORT, CONTROLLER_PORT = 9192, 9196
PORTS_OF_A_JOB = 10
CLUSTER_ID = "b3V0Ym94cmVsYXktY2hhbw"
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
log.dirs={data}
"""


class Broker:
    """``with Broker(folder) as broker:``; every method waits until it is done. ``job``: of runs side by side."""

    def __init__(self, folder: Path, job: int = 0) -> None:
        self.job = job
        self._port = PORT + PORTS_OF_A_JOB * job
        self.servers = f"{paths.KAFKA_NAME}:{self._port}"
        self._properties = folder / "kafka.properties"
        self._data = folder / "kafka"
        self._log = folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        controller = CONTROLLER_PORT + PORTS_OF_A_JOB * self.job
        self._properties.write_text(
            PROPERTIES.format(port=self._port, controller=controller, host=paths.KAFKA_NAME, data=self._data)
        )
        arguments = ["format", "--standalone", "--cluster-id", CLUSTER_ID, "--config", str(self._properties)]
        done = subprocess.run(
            self._java("-Xmx128m", "kafka.tools.StorageTool", *arguments), capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"formatting Kafka's storage failed:\n{(done.stdout + done.stderr)[-2000:]}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, seconds: float = 180) -> None:
        """Start, and wait until it takes connections."""
        with self._log.open("ab") as log:
            command = self._java("-Xms128m", "-Xmx512m", "kafka.Kafka", str(self._properties))
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + seconds
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka does not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.1)

    def restart(self) -> None:
        """In order."""
        self._end(signal.SIGTERM, 30)
        self.start()

    def kill(self) -> None:
        """At once."""
        self._end(signal.SIGKILL, 30)

    def freeze(self) -> None:
        """Connections stay, nothing answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._send(signal.SIGCONT)

    def _java(self, *arguments: str) -> list[str]:
        """A program of Kafka's; its classes were recorded when the cluster was brought up."""
        classes = kafka_build.classes()
        recorded = f"-XX:SharedArchiveFile={classes}" if classes.exists() else "-Xshare:auto"
        logging = f"-Dlog4j2.configurationFile={paths.CONFIG / 'log4j2.properties'}"
        tuning = ["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true"]
        # It unpacks libraries, which a broker that is killed leaves behind: they go with this folder.
        tuning += [f"-Djava.io.tmpdir={self._properties.parent}", "-XX:-UsePerfData", logging, recorded]
        return ["java", *tuning, "-cp", f"{kafka_build.jars()}/*", *arguments]

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((paths.KAFKA_IP, self._port), 1):
            return True
        return False

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals, seconds: float) -> None:
        self._send(number)
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
