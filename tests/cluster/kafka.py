"""The real Kafka: start, stop, kill and freeze it, from inside the namespace or outside.

Each function returns when its work is done. The data lives from `up` to `down`.
"""

from __future__ import annotations

import shutil
import signal
import struct
import subprocess
from typing import TYPE_CHECKING

from . import artifact, certificates, kafka_build, netns, paths, processes
from .failures import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "kafka"
USER = "relay"
PASSWORD = "relay-secret"
PLAINTEXT_PORT = 9092
SSL_PORT = 9093
SASL_SSL_PORT = 9094
SASL_PLAINTEXT_PORT = 9095
MTLS_PORT = 9097
OAUTH_PORT = 9098

_FOLDER = paths.DATA / NAME
_DATA = _FOLDER / "data"
_PROPERTIES = paths.CONFIG / "kafka.properties"


def servers(port: int = PLAINTEXT_PORT) -> str:
    """How a client inside the namespace, or a pod, reaches it."""
    return f"{paths.KAFKA_NAME}:{port}"


def is_running() -> bool:
    """Whether the broker process is there."""
    return processes.is_running(NAME)


def record_classes() -> None:
    """Keep the classes of a first run in the form the JVM can map: it halves the work of every later start."""
    if not is_running():
        about = "about 15 s, once; halves the work of every later start"
        artifact.ensure(kafka_build.classes().parent, "recording Kafka's classes", about, _record)


def start(timeout: float = 180) -> None:
    """Start it (the first time with new, empty data) and wait until it takes part and answers."""
    classes = kafka_build.classes()
    _start(timeout, f"-XX:SharedArchiveFile={classes}" if classes.exists() else "-Xshare:auto")


def _record(folder: Path) -> None:
    _start(180, f"-XX:ArchiveClassesAtExit={folder / kafka_build.classes().name}")
    stop(60)


def _start(timeout: float, option: str) -> None:
    if not is_running():
        _prepare()
        broker = _java(option, "-Xms256m", "-Xmx768m", "kafka.Kafka", str(_PROPERTIES))
        processes.start(NAME, netns.command(broker))
    else:
        thaw()
    processes.wait_ready(NAME, _answers, timeout)


def stop(timeout: float = 30) -> None:
    """End it as an administrator would (controlled shutdown)."""
    processes.stop(NAME, signal.SIGTERM, timeout)


def restart(timeout: float = 180) -> None:
    """Stop and start."""
    stop()
    start(timeout)


def kill() -> None:
    """End it at once, as a power cut would."""
    processes.kill(NAME)


def freeze() -> None:
    """Stop the process without ending it: connections stay, nothing answers."""
    processes.send(NAME, signal.SIGSTOP)


def thaw() -> None:
    """Let a frozen broker go on."""
    processes.send(NAME, signal.SIGCONT)


def _answers() -> bool:
    """Whether the broker names itself a member of the cluster; it accepts connections some time before."""
    client = b"cluster"
    # Metadata, version 1, of no topic.
    body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with netns.connect(paths.KAFKA_IP, PLAINTEXT_PORT) as link:
            link.sendall(struct.pack(">i", len(body)) + body)
            reply = link.recv(12, 0)
    except OSError:
        return False
    return len(reply) == 12 and int.from_bytes(reply[8:12], "big") >= 1


def _prepare() -> None:
    _FOLDER.mkdir(exist_ok=True)
    certificate, key = certificates.ensure("kafka", paths.KAFKA_NAME, paths.KAFKA_IP)
    keystore = paths.write(_FOLDER / "keystore.pem", key.read_text() + certificate.read_text(), 0o600)
    login = "org.apache.kafka.common.security"
    paths.render("log4j2.properties", paths.CONFIG / "log4j2.properties")
    paths.render(
        "kafka.properties",
        _PROPERTIES,
        host=paths.KAFKA_NAME,
        data=str(_DATA),
        keystore=str(keystore),
        authority=str(paths.CA_FILE),
        plain=f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
        scram=f"{login}.scram.ScramLoginModule required;",
    )
    if not (_DATA / "meta.properties").exists():
        _format()


def _format() -> None:
    # Formatting writes meta.properties last, so that a half-formatted folder is formatted anew.
    shutil.rmtree(_DATA, ignore_errors=True)
    users = [
        f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    ]
    command = _java("-Xmx128m", "kafka.tools.StorageTool", "format", "--standalone", "--cluster-id")
    done = subprocess.run(
        netns.command([*command, "b3V0Ym94cmVsYXktcmlnMA", "--config", str(_PROPERTIES), *users]),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        raise ClusterError(f"formatting Kafka's storage failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _java(*arguments: str) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={paths.CONFIG / 'log4j2.properties'}"
    tuning = ["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true", logging]
    # It unpacks libraries, which a broker that is killed leaves behind: they go with the cluster's folder.
    tuning += [f"-Djava.io.tmpdir={_FOLDER}", "-XX:-UsePerfData"]
    return ["java", *tuning, "-cp", f"{kafka_build.jars()}/*", *arguments]
