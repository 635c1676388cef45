"""What a release consists of, built: wheel and source archive (each twice), chart, bill of materials."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import helm_build

if TYPE_CHECKING:
    from collections.abc import Sequence

CHART = "charts/outbox-relay-operator"
SOURCES = ("operator", "crds", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
"""All that wheel and source archive are made from."""
EPOCH = "1577836800"
"""2020-01-01: one moment for all files, so that what is built does not tell when."""


class BuildFailed(Exception):
    """A program failed; the text is what it said."""


def run(command: Sequence[str], *, folder: Path | None = None, good: tuple[int, ...] = (0,)) -> str:
    """Run a program; its standard output."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in good:
        raise BuildFailed(
            f"{' '.join(command[:4])} … ended with {done.returncode}: {(done.stderr or done.stdout)[-500:]}"
        )
    return done.stdout


def packages(root: Path, dist: Path) -> dict[str, tuple[str, str]]:
    """Build wheel and source archive into ``dist``, and once more elsewhere; both sha256 of each."""
    with (
        tempfile.TemporaryDirectory(prefix="outboxrelay-build-") as one,
        tempfile.TemporaryDirectory(prefix="outboxrelay-another-place-") as two,
    ):
        first = _build(root, Path(one), mode=0o644, time=1_000_000_000)
        second = _build(root, Path(two), mode=0o600, time=1_700_000_000)
        found = {file.name: (_digest(file), _digest(second / file.name)) for file in sorted(first.iterdir())}
        for file in first.iterdir():
            shutil.copyfile(file, dist / file.name)
    return found


def _build(root: Path, folder: Path, *, mode: int, time: int) -> Path:
    """Build from a copy whose files have another mode and another time, as in another checkout."""
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(root / name, folder / name)
    for file in folder.rglob("*"):
        os.utime(file, (time, time))
        if file.is_file():
            file.chmod(mode)
    # The source archive first: hatchling makes both from the same files, and neither sees the other.
    run([sys.executable, "-m", "hatchling", "build", "-d", str(folder / "out")], folder=folder)
    return folder / "out"


def chart(root: Path, dist: Path) -> Path:
    """Package the chart into ``dist``."""
    helm = shutil.which("helm") or str(helm_build.programs() / "helm")
    if not Path(helm).exists():
        raise BuildFailed("helm is missing; python3 -m tests.cluster up builds one into the cache")
    said = run([helm, "package", str(root / CHART), "--destination", str(dist)])
    return Path(said.rpartition(": ")[2].strip())


def tools(root: Path, folder: Path) -> Path:
    """A virtual environment with what a release needs beside the development tools; its bin."""
    run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin/pip"), "install", "--quiet", "--require-hashes", "-r"]
    run([*pip, str(root / "constraints/release.txt")])
    return folder / "bin"


def bill_of_materials(root: Path, tools_bin: Path, folder: Path, target: Path) -> dict[str, Any]:
    """Install exactly what the image has into a fresh environment, and write its CycloneDX 1.6 document."""
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    python = str(folder / "bin/python3")
    pip = [str(tools_bin / "pip"), "--python", python, "install", "--quiet", "--no-compile"]
    run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(root / "constraints/runtime.txt")])
    command = [str(tools_bin / "cyclonedx-py"), "environment", "--pyproject", str(root / "pyproject.toml")]
    run([*command, "--output-reproducible", "--sv", "1.6", "--of", "JSON", "-o", str(target), python])
    document: dict[str, Any] = json.loads(target.read_text())
    return document


def audited(root: Path, tools_bin: Path) -> str:
    """What pip-audit says of the pinned dependencies, as JSON; it ends with 1 where it found something."""
    command = [str(tools_bin / "pip-audit"), "-r", str(root / "constraints/runtime.txt"), "--disable-pip"]
    return run([*command, "--require-hashes", "--progress-spinner", "off", "--format", "json"], good=(0, 1))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
