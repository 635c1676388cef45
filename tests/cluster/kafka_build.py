"""Kafka as its published jars, fetched by Maven into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import artifact, paths

VERSION = "4.2.0"
_POM = paths.SOURCES / "kafka" / "pom.xml"


def jars() -> Path:
    """Where the jars are, or will be."""
    return artifact.place("kafka", VERSION, [_POM.read_bytes()])


def classes() -> Path:
    """Where the archive of its classes is, or will be: one for each Java, as only that one can read it."""
    java = Path(shutil.which("java") or "java").resolve()
    made = str(java.stat().st_mtime_ns) if java.exists() else ""
    ingredients = [_POM.read_bytes(), str(java).encode(), made.encode(), str(jars()).encode()]
    return artifact.place("kafka-classes", VERSION, ingredients) / "classes.jsa"


def build() -> Path:
    """The folder of jars, fetched if need be."""
    return artifact.ensure(jars(), f"fetching Kafka {VERSION}", "about 20 s", _fetch)


def _fetch(target: Path) -> None:
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    # Maven writes nothing beside the pom for this goal; -B keeps the log readable.
    arguments = ["-B", "-f", str(_POM), plugin, "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    artifact.build("build-kafka", ["mvn", *arguments], target)
