"""The real PostgreSQL: start, stop, kill and freeze it, from inside the namespace or outside.

Each function returns when its work is done. The data lives from `up` to `down`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from . import certificates, netns, paths, postgres_build, processes
from .failures import ClusterError

NAME = "postgres"
USER = "outbox"
PASSWORD = "outbox"
PORT = 5432

_FOLDER = paths.DATA / NAME
_DATA = _FOLDER / "data"
_SERVER = _FOLDER / "server"
"""A server that is not Debian's, where one was chosen: in a place that its user can read, as the cache may not be."""
_RELEASE = _SERVER / "release"


def uri() -> str:
    """How a client inside the namespace, or a pod, reaches it."""
    return f"postgresql://{USER}:{PASSWORD}@{paths.POSTGRES_NAME}:{PORT}/postgres?sslmode=disable"


def binaries() -> Path | None:
    """The folder of the newest server installed, with its client programs."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


def version() -> str:
    """The version of the server: Debian's major one, or the release that was chosen."""
    return _RELEASE.read_text() if _RELEASE.exists() else _installed().parent.name


def choose(major: str) -> None:
    """Let the cluster have the server of this major version instead of Debian's; before its first start."""
    if _DATA.exists():
        if version().partition(".")[0] != major:
            raise ClusterError(f"the cluster has PostgreSQL {version()}; to have {major}, take it down first")
        return
    shutil.rmtree(_SERVER, ignore_errors=True)
    shutil.copytree(postgres_build.build(major), _SERVER, symlinks=True)
    _RELEASE.write_text(postgres_build.release(major))


def is_running() -> bool:
    """Whether the server process is there."""
    return processes.is_running(NAME)


def start(timeout: float = 60) -> None:
    """Start it (the first time with new, empty data) and wait until it accepts queries."""
    if not is_running():
        _end_orphans()
        _prepare()
        processes.start(NAME, _as_user([str(_programs() / "postgres"), "-D", str(_DATA)]))
    else:
        thaw()
    processes.wait_ready(NAME, _answers, timeout)


def stop(timeout: float = 30) -> None:
    """End it as an administrator would ("fast": sessions are ended, data is tidy)."""
    processes.stop(NAME, signal.SIGINT, timeout)


def restart(timeout: float = 60) -> None:
    """Stop and start."""
    stop()
    start(timeout)


def kill() -> None:
    """End the server and all its sessions at once, as a power cut would."""
    processes.kill(NAME)


def freeze() -> None:
    """Stop the server and its sessions without ending them: connections stay, nothing answers."""
    processes.send(NAME, signal.SIGSTOP, tree=True)


def thaw() -> None:
    """Let a frozen server go on."""
    processes.send(NAME, signal.SIGCONT, tree=True)


def _answers() -> bool:
    ready = [
        str(_installed() / "pg_isready"),
        "-q",
        "-t",
        "2",
        "-h",
        str(_FOLDER),
        "-p",
        str(PORT),
        "-U",
        USER,
        "-d",
        "postgres",
    ]
    return subprocess.run(ready, check=False, timeout=10, capture_output=True).returncode == 0


def _end_orphans() -> None:
    """End the sessions of a server that was killed from elsewhere, and forget its lock.

    In its own IPC namespace a new server cannot see that they still write to the same files; and a dead one
    that nobody has reaped yet looks alive to it.
    """
    orphans = [pid for pid in netns.members() if processes.folder_of(pid) == str(_DATA)]
    processes.end(orphans)
    for lock in (_DATA / "postmaster.pid", _FOLDER / f".s.PGSQL.{PORT}.lock"):
        lock.unlink(missing_ok=True)


def _prepare() -> None:
    if _DATA.exists():
        return
    account = pwd.getpwnam("postgres")
    _FOLDER.mkdir(mode=0o755, exist_ok=True)
    os.chown(_FOLDER, account.pw_uid, account.pw_gid)
    half = _FOLDER / "half"
    shutil.rmtree(half, ignore_errors=True)
    password = _own(paths.write(_FOLDER / "password", f"{PASSWORD}\n", 0o600), account)
    initdb = [str(_programs() / "initdb"), "--username", USER, "--pwfile", str(password), "--no-sync"]
    layout = ["--encoding", "UTF8", "--locale", "C.UTF-8", "--auth", "scram-sha-256", "-D", str(half)]
    done = subprocess.run(_as_user([*initdb, *layout]), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise ClusterError(f"initdb failed: {done.stderr.strip()}")
    certificates.ensure(certificates.CLIENT.stem, "client.rig.test", subject="/CN=cert_only")
    certificate, key = certificates.ensure("postgres", paths.POSTGRES_NAME, paths.POSTGRES_IP)
    paths.render(
        "postgresql.conf",
        half / "postgresql.conf",
        address=paths.POSTGRES_IP,
        sockets=str(_FOLDER),
        certificate=str(_own(Path(shutil.copy(certificate, _FOLDER)), account)),
        key=str(_own(Path(shutil.copy(key, _FOLDER)), account)),
        authority=str(paths.CA_FILE),
    )
    paths.render("pg_hba.conf", half / "pg_hba.conf")
    for name in ("postgresql.conf", "pg_hba.conf"):
        _own(half / name, account)
    half.rename(_DATA)


def _own(file: Path, account: pwd.struct_passwd) -> Path:
    file.chmod(0o600)
    os.chown(file, account.pw_uid, account.pw_gid)
    return file


def _as_user(command: list[str]) -> list[str]:
    """Run inside, as the server's user, with shared memory that ends with the process even if it is killed."""
    account = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]
    memory = ["sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"]
    return netns.command([*memory, *account, *command], private_ipc=True)


def _programs() -> Path:
    return _SERVER / "bin" if _SERVER.exists() else _installed()


def _installed() -> Path:
    found = binaries()
    if found is None:
        raise ClusterError("PostgreSQL is not installed: apt-get install postgresql")
    return found
