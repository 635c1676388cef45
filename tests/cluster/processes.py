"""Programs of the cluster: started, recorded by pid and start time, and ended by nothing else.

A record is enough to find a program again from any other process, whether the one that started it
still lives or not; the start time and the boot tell it from another that got the same pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from . import paths
from .failures import ClusterError
from .progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# Children inherit it with the name of the cluster, so that even an orphan of a killed program tells whose it is.
MARK = "OUTBOXRELAY_CLUSTER_MEMBER"
_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT
_RESET_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP)


def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    append: bool = True,
) -> int:
    """Start a program of its own session, its output in the log, and record it."""
    program = shutil.which(command[0], path=(environment or _BASE_ENVIRONMENT).get("PATH"))
    if program is None:
        raise ClusterError(f"{command[0]} is not installed")
    log = log_of(name)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    # posix_spawn and not subprocess: nobody waits for these, and a Popen that is dropped complains.
    pid = os.posix_spawn(
        program,
        list(command),
        {**_BASE_ENVIRONMENT, **(environment or {}), MARK: paths.CLUSTER},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            # What a shell gave to this process (a lock on a file, a pipe) is not the server's to keep.
            *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=_RESET_SIGNALS,
    )
    record = {"pid": pid, "start": _start_time(pid), "boot": boot()}
    paths.write(paths.PROCESSES / f"{name}.json", json.dumps(record))
    return pid


def _inherited() -> list[int]:
    """Descriptors that a program would inherit, but for the standard ones."""
    found = [int(number) for number in os.listdir("/proc/self/fd")]
    return [number for number in found if number > 2 and _is_inheritable(number)]


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def wait_ready(name: str, ready: Callable[[], bool], seconds: float) -> None:
    """Wait until a program answers; if it ended or takes too long, say so with the end of its log."""
    if not wait_until(lambda: not is_running(name) or ready(), seconds, every=0.05):
        happened = f"does not answer after {seconds:.0f} s"
    elif not is_running(name):
        happened = "ended"
    else:
        return
    raise ClusterError(
        f"{name} {happened}; the end of {log_of(name)}:\n{last_lines(name)}\n"
        "Mend what it says and run `up` again, or begin anew with `down` and `up`."
    )


def log_of(name: str) -> Path:
    """The log file of a program."""
    return paths.LOGS / f"{name}.log"


def last_lines(name: str, count: int = 15) -> str:
    """The end of a program's log, indented for a message."""
    try:
        lines = log_of(name).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "    (no log)"
    return "\n".join(f"    {line[:300]}" for line in lines[-count:])


def names() -> list[str]:
    """Every program that was recorded, running or not."""
    return sorted(file.stem for file in paths.PROCESSES.glob("*.json"))


def pid_of(name: str) -> int | None:
    """The pid of a program that runs, or nothing."""
    try:
        record = json.loads((paths.PROCESSES / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid = int(record["pid"])
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if record["boot"] != boot() or record["start"] is None or record["start"] != _start_time(pid):
        return None
    return pid


def is_running(name: str) -> bool:
    """Whether the recorded program is alive (a stopped one is, a zombie is not)."""
    return pid_of(name) is not None


def send(name: str, number: signal.Signals, *, tree: bool = False) -> None:
    """Signal a program, and with `tree` everything it started."""
    pid = pid_of(name)
    if pid is not None:
        signal_all([pid, *(descendants([pid]) if tree else ())], number)


def stop(name: str, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
    """End a program and wait for it; one that does not heed the signal in time is killed."""
    send(name, signal.SIGCONT, tree=True)
    send(name, number)
    if not wait_until(lambda: not is_running(name), seconds, every=0.05):
        kill(name)


def kill(name: str) -> None:
    """End a program and all it started, without a chance to tidy up, and wait for the end."""
    pid = pid_of(name)
    if pid is None:
        return
    end([pid, *descendants([pid])])


def end(pids: Sequence[int]) -> None:
    """Kill each of these and wait for the end of all."""
    signal_all(pids, signal.SIGKILL)
    if not wait_until(lambda: not any(exists(pid) for pid in pids), 15, every=0.02):
        raise ClusterError(f"these processes do not end, even when killed: {pids}")


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each, whether it is still there or not."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def descendants(roots: Iterable[int]) -> list[int]:
    """All children of children of these."""
    children: dict[int, list[int]] = {}
    for pid in every_pid():
        stat = _stat(pid)
        if stat:
            children.setdefault(int(stat[1]), []).append(pid)
    found: list[int] = []
    pending = list(roots)
    while pending:
        below = children.pop(pending.pop(), [])
        found.extend(below)
        pending.extend(below)
    return found


def marked() -> list[int]:
    """All processes that were started by the cluster, or by what it started."""
    mark = f"{MARK}={paths.CLUSTER}".encode()
    return [pid for pid in every_pid() if mark in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def every_pid() -> list[int]:
    """All processes of the machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def exists(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return _start_time(pid) is not None


def folder_of(pid: int) -> str | None:
    """The folder a process works in."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def boot() -> str:
    """Which start of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
