"""Kafka Connect with Debezium's connector as their published jars, fetched by Maven into the cache."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from tests.cluster import artifact
from tests.cluster.failures import ClusterError

VERSION = "3.4.0.Final"
_POM = Path(__file__).with_name("sources") / "debezium" / "pom.xml"


def jars() -> Path:
    """Where Connect's jars are, or will be; the connector's are in ``plugins`` below."""
    return artifact.place("debezium", VERSION, [_POM.read_bytes()])


def build() -> Path:
    """The folder of jars, fetched if need be. Needs Maven, and a network: the cluster's namespace has none."""
    return artifact.ensure(jars(), f"fetching Debezium {VERSION} and Kafka Connect", "about 20 s", _fetch)


def _fetch(target: Path) -> None:
    goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    command = ["mvn", "-B", "-q", "-f", str(_POM), goal, "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError("the comparison with Debezium needs Maven: apt-get install maven") from None
    if done.returncode != 0:
        raise ClusterError(f"Maven could not fetch Debezium:\n{(done.stdout + done.stderr)[-2000:]}")
    for archive in target.glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(target / "plugins", filter="data")
        archive.unlink()
