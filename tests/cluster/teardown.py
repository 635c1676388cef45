"""The way down: nothing may stay, whatever state it starts from.

It does not rely on what was recorded alone: whoever is in the namespace or in the control group, or
bears the cluster's mark in its environment, is the cluster's, and so is every child of these.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from . import cgroups, kernel, machine, mounts, netns, packages, paths, processes
from .failures import ClusterError
from .progress import say, step


def down() -> None:
    """Remove the cluster."""
    if netns.is_inside():
        raise ClusterError("`down` must run outside of every cluster: it ends everything inside")
    with step("taking everything down"):
        left = _clean()
    if left:
        raise ClusterError(f"these could not be removed: {', '.join(left)}. Run `down` again.")
    beside = machine.others()
    untouched = f"; still up: {', '.join(beside)}" if beside else ""
    say(f"nothing of it is left; the cache stays in {paths.cache()}{untouched}")


def forget_earlier_boot() -> None:
    """Data may outlive a restart of the machine; its certificates and processes do not. Begin anew then."""
    boot = paths.STATE / "boot"
    now = processes.boot()
    if (boot.exists() and boot.read_text() == now) or not (paths.STATE.exists() or paths.DATA.exists()):
        return
    with step("removing what an earlier start of the machine left"):
        _clean()


def _clean() -> list[str]:
    """Remove everything and return what could not be."""
    _end_processes()
    left = _unmount()
    netns.delete()
    left += [str(group) for group in cgroups.remove()]
    packages.restore_policy()
    left += machine.leave(_put_back)
    for folder in (paths.DATA, paths.STATE):
        if mounts.below(folder):
            continue  # deleting would reach into what is mounted
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            left.append(str(folder))
    return left


def _put_back() -> list[str]:
    """What the last cluster owes the machine; folders that could not be removed are returned."""
    netns.remove_folder()
    kernel.restore()
    return mounts.remove_private()


def _end_processes(seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    # The kubelet first: it would start again what ends.
    for name in ("kubelet", "containerd"):
        processes.kill(name)
    spared = {os.getpid(), *_ancestors(os.getpid())}
    while victims := _ours() - spared:
        cgroups.thaw()
        processes.signal_all(victims, signal.SIGKILL)
        if time.monotonic() > end:
            raise ClusterError(f"these processes do not end, even when killed: {sorted(victims)}")
        time.sleep(0.02)


def _ours() -> set[int]:
    recorded = [pid for name in processes.names() if (pid := processes.pid_of(name)) is not None]
    roots = {*recorded, *netns.members(), *cgroups.members(), *processes.marked()}
    return {pid for pid in roots.union(processes.descendants(roots)) if processes.exists(pid)}


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def _unmount() -> list[str]:
    """Unmount what shows on the machine; most mounts are in a private namespace and gone with its processes."""
    for mounted in reversed(mounts.below(paths.DATA, paths.STATE)):
        subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False, timeout=20)
    return mounts.below(paths.DATA, paths.STATE)
