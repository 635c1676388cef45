"""Other PostgreSQL servers than Debian's, fetched by Maven into the cache: `postgres` and `initdb` of one release.

They are those that Java projects embed in their tests: glibc builds with TLS and ICU, without client programs.
"""

from __future__ import annotations

import platform
import tarfile
import zipfile
from typing import TYPE_CHECKING

from . import artifact
from .failures import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = {"14": "14.20.0", "15": "15.15.0", "16": "16.11.0", "17": "17.7.0", "18": "18.1.0"}
"""By major version; the last number counts builds of the same release."""
_GROUP = "io.zonky.test.postgres"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64v8"}


def release(major: str) -> str:
    """The release as PostgreSQL calls it, such as 18.1."""
    return RELEASES[major].rpartition(".")[0]


def build(major: str) -> Path:
    """The folder with bin, lib and share of that server, fetched if need be."""
    if major not in RELEASES:
        raise ClusterError(f"there is no PostgreSQL {major} to fetch; there are {', '.join(RELEASES)}")
    if platform.machine() not in _MACHINES:
        raise ClusterError(f"there is no PostgreSQL {major} to fetch for {platform.machine()}")
    target = artifact.place("postgres", RELEASES[major], [_artifact(major).encode()])
    return artifact.ensure(
        target, f"fetching PostgreSQL {release(major)}", "about 10 s", lambda half: _fetch(major, half)
    )


def _artifact(major: str) -> str:
    return f"{_GROUP}:embedded-postgres-binaries-linux-{_MACHINES[platform.machine()]}:{RELEASES[major]}:jar"


def _fetch(major: str, target: Path) -> None:
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:copy"
    arguments = ["-B", plugin, f"-Dartifact={_artifact(major)}", f"-DoutputDirectory={target}"]
    artifact.build("build-postgres", ["mvn", *arguments], target)
    (jar,) = target.glob("*.jar")
    with zipfile.ZipFile(jar) as package:
        (name,) = [name for name in package.namelist() if name.endswith(".txz")]
        with package.open(name) as file, tarfile.open(fileobj=file, mode="r|xz") as archive:
            archive.extractall(target, filter="tar")
    jar.unlink()
