"""The control groups of the pods: below one of our own, so that all of them can be found and removed."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from . import paths

_ROOT = Path("/sys/fs/cgroup")
_SHARE = 4
"""All pods together weigh as much as this many programs beside them. The kernel's default is one, and a dozen pods
that share with a broker, a database, an API server and the tests as if they were one do not even start in time."""


def is_unified() -> bool:
    """Whether the machine has cgroup v2 alone."""
    return (_ROOT / "cgroup.controllers").exists()


def create() -> None:
    """Make the group, with all controllers the kubelet asks for."""
    if is_unified():
        _enable_controllers(_ROOT)
        group = _ROOT / paths.CGROUP
        group.mkdir(exist_ok=True)
        _enable_controllers(group)
        _write_if_there(group / "cpu.weight", _SHARE * 100)
        return
    for hierarchy in _hierarchies():
        group = hierarchy / paths.CGROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (group / name).write_text((hierarchy / name).read_text())
        _write_if_there(group / "cpu.shares", _SHARE * 1024)


def members() -> list[int]:
    """All processes in the group or below."""
    found: set[int] = set()
    for folder in _folders():
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return sorted(found - {0})


def thaw() -> None:
    """Let frozen groups go on: a frozen process does not even end when killed."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            if (folder / "freezer.state").exists():
                (folder / "freezer.state").write_text("THAWED")
            elif (folder / "cgroup.freeze").exists():
                (folder / "cgroup.freeze").write_text("0")


def remove(seconds: float = 10) -> list[Path]:
    """Remove the group and all below; what stayed is returned."""
    end = time.monotonic() + seconds
    while left := _folders():
        for folder in left:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > end:
            return left
        time.sleep(0.02)
    return []


def _hierarchies() -> list[Path]:
    if is_unified():
        return [_ROOT]
    # Some hierarchies are links to others (cpu to cpu,cpuacct); "unified" has no controller of v1.
    return [folder for folder in _ROOT.iterdir() if folder.is_dir() and not folder.is_symlink()]


def _folders() -> list[Path]:
    """The groups, the deepest first."""
    return [
        Path(folder)
        for hierarchy in _hierarchies()
        for folder, _, _ in os.walk(hierarchy / paths.CGROUP, topdown=False)
    ]


def _write_if_there(file: Path, value: int) -> None:
    if file.exists():
        file.write_text(str(value))


def _enable_controllers(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
