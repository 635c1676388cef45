"""What the machine must have to spare; said before anything starts, not found out by a killed server."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from . import paths
from .failures import ClusterError

_MEMORY_MB = {"services": 1200, "all": 2500}
_DISK_MB = {"services": 1500, "all": 8000}
_PROCESSES = 2000
_FILES = 16384


def check(*, services_only: bool) -> None:
    """Refuse to start where it could only fail."""
    scope = "services" if services_only else "all"
    lacking = []
    memory = memory_mb()
    if memory < _MEMORY_MB[scope]:
        lacking.append(f"{_MEMORY_MB[scope]} MB of memory (there are {memory})")
    existing = next(folder for folder in [paths.DATA, *paths.DATA.parents] if folder.exists())
    disk = shutil.disk_usage(existing).free >> 20
    if disk < _DISK_MB[scope]:
        lacking.append(f"{_DISK_MB[scope]} MB on the disk of {existing} (there are {disk})")
    processes = _process_limit()
    if processes is not None and processes < _PROCESSES:
        lacking.append(f"{_PROCESSES} processes and threads (the limit is {processes})")
    if lacking:
        raise ClusterError(f"the cluster needs {'; '.join(lacking)}")
    _raise_open_files()


def memory_mb() -> int:
    """The free memory of the machine, or of the control group where that is less, in MB of 2^20 bytes."""
    fields = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    free = next(int(field[1]) >> 10 for field in fields if field[0] == "MemAvailable:")
    ceilings = [
        (_number(folder / "memory.max"), _number(folder / "memory.current")) for folder in _cgroup_folders("")
    ] + [
        (_number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes"))
        for folder in _cgroup_folders("memory")
    ]
    rooms = [(limit - used) >> 20 for limit, used in ceilings if limit is not None and used is not None]
    return min([free, *rooms])


def _process_limit() -> int | None:
    limits = [_number(folder / "pids.max") for folder in (*_cgroup_folders(""), *_cgroup_folders("pids"))]
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    known = [limit for limit in (*limits, soft if soft > 0 else None) if limit is not None]
    return min(known, default=None)


def _cgroup_folders(controller: str) -> list[Path]:
    """This process's cgroup and those above it, of one hierarchy ("" is the unified one)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") and path.startswith("/"):
            root = Path("/sys/fs/cgroup", controller)
            leaf = root / path[1:]
            return [leaf, *(above for above in leaf.parents if above.is_relative_to(root))]
    return []


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    os.umask(0o022)
