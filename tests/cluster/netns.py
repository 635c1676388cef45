"""The network namespace that holds the whole cluster: nothing in it reaches the machine's network, or is reached.

One address per server, so that a test can cut off one of them by its address.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from . import machine, paths, processes
from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEVICE = "node0"
# `ip` makes its folder a mount the first time; it is ours to undo unless others use it by then.
_MADE_FOLDER = paths.MACHINE / "made-netns-folder"
_CLONE_NEWNET = 0x40000000

# A private mount namespace gives each program the cluster's own name service. Propagation is "slave":
# unmounting on the machine (when the namespace is deleted) reaches the copies, theirs never leave.
_WITH_NAMES = """
for name in resolv.conf nsswitch.conf; do
  if [ -e /etc/$name ]; then mount --bind "$0/$name" /etc/$name || exit 125; fi
done
exec "$@"
"""


def exists(cluster: str = paths.CLUSTER) -> bool:
    """Whether the namespace of a cluster is there (an empty file of that name is a half-made one)."""
    return os.path.ismount(paths.netns(cluster))


def create() -> None:
    """Make the namespace with its devices, addresses and routes."""
    if not exists():
        with machine.alone():
            paths.NETNS.unlink(missing_ok=True)
            if not _is_mounted(paths.NETNS.parent):
                _MADE_FOLDER.touch()
            _ip("netns", "add", paths.NAMESPACE)
    inside = ("-n", paths.NAMESPACE)
    _ip(*inside, "link", "set", "lo", "up")
    if not _has_device():
        # A bridge without ports, because not every kernel has the dummy device.
        _ip(*inside, "link", "add", _DEVICE, "type", "bridge")
    _ip(*inside, "link", "set", _DEVICE, "up")
    for address in (paths.NODE_IP, paths.POSTGRES_IP, paths.KAFKA_IP, paths.DNS_IP):
        _ip(*inside, "address", "replace", f"{address}/32", "dev", _DEVICE)
    _ip(*inside, "route", "replace", "default", "dev", _DEVICE, "src", paths.NODE_IP)
    subprocess.run([*_enter_network(), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True, timeout=10)
    _write_names()


def delete() -> None:
    """Remove the namespace; the kernel removes what is in it."""
    if exists():
        _ip("netns", "delete", paths.NAMESPACE)
    paths.NETNS.unlink(missing_ok=True)


def remove_folder() -> None:
    """Remove the folder of named networks, where it was made for a cluster and nothing else is in it."""
    folder = paths.NETNS.parent
    if not _MADE_FOLDER.exists() or not folder.exists() or any(folder.iterdir()):
        return
    # Others may hold a copy of the mount (a build's container does); then an empty folder stays until they end.
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False, timeout=20)
    with contextlib.suppress(OSError):
        folder.rmdir()


def command(arguments: Sequence[str], *, private_ipc: bool = False) -> list[str]:
    """The same command, run inside; every link of the chain replaces itself, so pid and signals are the command's."""
    ipc = ["--ipc"] if private_ipc else []
    unshare = ["unshare", "--mount", *ipc, "--propagation", "slave", "--"]
    return [*_enter_network(), *unshare, "sh", "-c", _WITH_NAMES, str(paths.CONFIG), *arguments]


def beside(pid: int, arguments: Sequence[str]) -> list[str]:
    """The same command, run inside and with the mounts of a running program."""
    return ["nsenter", f"--net={paths.NETNS}", f"--mount=/proc/{pid}/ns/mnt", "--", *arguments]


def is_inside() -> bool:
    """Whether this very process is in the namespace of a cluster, this one or another."""
    own = os.stat("/proc/self/ns/net")
    return any(os.path.samestat(own, file.stat()) for file in paths.NETNS.parent.glob("outboxrelay*"))


def members() -> list[int]:
    """All processes whose network is the namespace's."""
    if not exists():
        return []
    wanted = paths.NETNS.stat().st_ino
    return [pid for pid in processes.every_pid() if _network_of(pid) == wanted]


def connect(address: str, port: int, timeout: float = 2) -> socket.socket:
    """A connection made inside, for a process outside: a socket stays in the network it was made in."""
    made: list[socket.socket | OSError] = []

    def join_and_connect() -> None:
        # The namespace is changed for this thread alone, and the thread ends.
        try:
            with open(paths.NETNS) as file:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_connection((address, port), timeout))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=join_and_connect)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def answers(address: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        connect(address, port, timeout=1).close()
    except OSError:
        return False
    return True


def _enter_network() -> list[str]:
    return ["nsenter", f"--net={paths.NETNS}", "--"]


def _is_mounted(folder: Path) -> bool:
    """Also for a folder that is mounted on itself, which os.path.ismount does not see."""
    return any(line.split()[4] == str(folder) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _network_of(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _has_device() -> bool:
    show = subprocess.run(
        ["ip", "-n", paths.NAMESPACE, "link", "show", _DEVICE], capture_output=True, check=False, timeout=10
    )
    return show.returncode == 0


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode != 0:
        raise ClusterError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")


def _write_names() -> None:
    paths.write(paths.RESOLV_CONF, f"nameserver {paths.DNS_IP}\noptions timeout:1 attempts:2\n")
    # A machine that asks systemd-resolved would ask the one outside, which does not know these names.
    paths.write(paths.NSSWITCH_CONF, "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n")
