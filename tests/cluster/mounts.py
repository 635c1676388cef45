"""Mounts of the node: in a mount namespace of their own, which ends with its last process.

The kubelet and containerd must see each other's mounts, so both join the namespace of one holder program.
Folders they use by a fixed name are covered there by folders of ours.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from . import machine, netns, paths, processes
from .failures import ClusterError
from .progress import wait_until

HOLDER = "node-mounts"
_COVERED = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd")
_CREATED = paths.MACHINE / "created-folders.json"

_COVER = """
for folder in "$@"; do mount --bind "$0$folder" "$folder" || exit 125; done
touch "$0/ready"
exec sleep infinity
"""


def hold() -> int:
    """The program whose mounts the node's programs join."""
    pid = processes.pid_of(HOLDER)
    if pid is not None:
        return pid
    with machine.alone():
        _create_folders()
    private = paths.DATA / "covered"
    for folder in _COVERED:
        (private / folder[1:]).mkdir(parents=True, exist_ok=True)
    (private / "ready").unlink(missing_ok=True)
    pid = processes.start(HOLDER, netns.command(["sh", "-c", _COVER, str(private), *_COVERED]))
    if not wait_until((private / "ready").exists, 10, every=0.01):
        raise ClusterError(f"the node's mounts cannot be made:\n{processes.last_lines(HOLDER)}")
    return pid


def remove_private() -> list[str]:
    """Remove the folders that were made on the machine only to be covered; those that stayed are returned."""
    made = json.loads(_CREATED.read_text()) if _CREATED.exists() else []
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return [folder for folder in made if Path(folder).exists()]


def below(*folders: Path) -> list[str]:
    """What is mounted in these folders, on the machine, outermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (line.split()[4].encode().decode("unicode_escape") for line in lines)
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]


def _create_folders() -> None:
    made = json.loads(_CREATED.read_text()) if _CREATED.exists() else []
    made += [folder for folder in _COVERED if not Path(folder).exists() and folder not in made]
    # Written before they are made: whoever is interrupted in between leaves nothing unknown.
    paths.write(_CREATED, json.dumps(made))
    for folder in made:
        Path(folder).mkdir(parents=True, exist_ok=True)
