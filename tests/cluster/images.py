"""Images in the node: nothing is ever pulled, so what a pod runs must have been loaded."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import paths, processes
from .failures import ClusterError


def load(archive: Path | str) -> None:
    """Import a docker-archive into the node's containerd, under the names it has inside."""
    file = Path(archive).absolute()
    if not file.is_file():
        raise ClusterError(f"there is no archive {file}")
    if not processes.is_running("containerd"):
        raise ClusterError("the node's containerd does not run; start it with: python3 -m tests.cluster up")
    done = _ctr("images", "import", str(file))
    if done.returncode != 0:
        raise ClusterError(f"importing {file} failed: {(done.stdout + done.stderr).strip()}")


def tag(name: str, other: str) -> None:
    """Give the image ``name`` one more name."""
    done = _ctr("images", "tag", "--force", name, other)
    if done.returncode != 0:
        raise ClusterError(f"tagging {name} failed: {(done.stdout + done.stderr).strip()}")


def has(name: str) -> bool:
    """Whether the node has an image of exactly this name."""
    return name in _ctr("images", "list", "-q", f"name=={name}").stdout.split()


def answers() -> bool:
    """Whether containerd serves."""
    return _ctr("version").returncode == 0


def _ctr(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "--address", str(paths.CONTAINERD_SOCKET), "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
