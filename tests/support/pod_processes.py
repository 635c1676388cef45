"""The process of a relay or the operator in a pod of the local cluster, which runs here: to kill and to freeze it."""

import os
import signal
from pathlib import Path


def relay_pid(pod_uid: str) -> int:
    """The pid, on this machine, of the relay in the pod with this uid."""
    found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_relay_of(pid, pod_uid)]
    assert found, f"no process of a relay belongs to the pod with the uid {pod_uid}"
    return min(found)


def kill(pod_uid: str) -> None:
    """End the relay of a pod at once: nothing is flushed, nothing is unlocked."""
    os.kill(relay_pid(pod_uid), signal.SIGKILL)


def freeze(pod_uid: str) -> int:
    """Stop the relay of a pod without ending it, as a stalled node does; the pid is for ``thaw``."""
    pid = relay_pid(pod_uid)
    os.kill(pid, signal.SIGSTOP)
    return pid


def thaw(pid: int, pod_uid: str) -> bool:
    """Let a frozen relay go on; False where it is no longer there."""
    if not _is_relay_of(pid, pod_uid):
        return False
    os.kill(pid, signal.SIGCONT)
    return True


def _is_relay_of(pid: int, pod_uid: str) -> bool:
    try:
        group = Path(f"/proc/{pid}/cgroup").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return (pod_uid in group or pod_uid.replace("-", "_") in group) and b"relay" in command
