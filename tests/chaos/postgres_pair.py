"""Two PostgreSQL servers, a primary and its synchronous standby, that can be killed, frozen and promoted.

Servers of their own, so that the ones that other tests share keep their place. With a synchronous standby no committed
row is lost by a promotion, so the oracle may demand every one of them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

from tests.cluster import paths, postgres, processes

if TYPE_CHECKING:
    from pathlib import Path

PORTS = (5441, 5442)
PORTS_OF_A_JOB = 10
USER = "outbox"
SETTINGS = {
    "listen_addresses": paths.POSTGRES_IP,
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Programs are killed here, not machines: what was written is there for the next one.
    "fsync": "off",
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "dynamic_shared_memory_type": "mmap",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "wal_retrieve_retry_interval": "200ms",
}


class Server:
    """One of the two. Every method waits until it is done."""

    def __init__(self, folder: Path, port: int) -> None:
        self.data = folder / f"data-{port}"
        self.port = port
        self._log = folder / f"postgres-{port}.log"
        self._sockets = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def initialise(self) -> None:
        """A new, empty cluster."""
        self.run("initdb", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync", "-D", self.data)
        lines = [f"{name} = '{value}'" for name, value in SETTINGS.items()]
        lines.append(f"unix_socket_directories = '{self._sockets}'")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\nhost replication all all trust\n")

    def copy_of(self, primary: Server) -> None:
        """Anew, as a standby of ``primary``."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = f"host={paths.POSTGRES_IP} port={primary.port} user={USER} application_name=standby"
        self.run("pg_basebackup", "--no-sync", "-c", "fast", "-X", "stream", "-D", self.data, "-d", source)
        (self.data / "standby.signal").touch()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write(f"primary_conninfo = '{source}'\n")

    def start(self, seconds: float = 60) -> None:
        """Start, and wait until it accepts sessions."""
        with self._log.open("ab") as log:
            command = as_user([str(_bin("postgres")), "-D", str(self.data), "-p", str(self.port)])
            # Of an IPC namespace of its own: what a killed one leaves behind goes with it.
            self._process = subprocess.Popen(["unshare", "--ipc", "--", *command], stdout=log, stderr=log)
        deadline = time.monotonic() + seconds
        asks = [
            str(_bin("pg_isready")),
            "-q",
            "-t",
            "2",
            "-h",
            str(self._sockets),
            "-p",
            str(self.port),
            "-d",
            "postgres",
        ]
        while subprocess.run(asks, check=False, timeout=10).returncode != 0:
            if not self.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL on port {self.port} does not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 20) -> None:
        """SIGINT: fast, sessions are ended. SIGQUIT: at once, as after a crash."""
        if self._process is None or not self.is_running:
            return
        self.thaw()
        self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """The server and all its sessions, at once."""
        if self._process is None or not self.is_running:
            return
        processes.end([self._process.pid, *processes.descendants([self._process.pid])])
        self._process.wait(10)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for lock in self._sockets.glob(f".s.PGSQL.{self.port}*"):
            lock.unlink()

    def freeze(self) -> None:
        """Connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def promote(self) -> None:
        """A standby becomes the primary."""
        self.run("pg_ctl", "promote", "-w", "-t", "30", "-D", self.data)
        self.sql("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")

    def sql(self, *statements: str) -> str:
        """What psql prints for ``statements``, each in a transaction of its own."""
        commands = [part for statement in statements for part in ("-c", statement)]
        return self.run(
            "psql", "-h", self._sockets, "-p", self.port, "-U", USER, "-d", "postgres", "-qAt", *commands
        ).strip()

    def run(self, program: str, *arguments: object) -> str:
        """A program of PostgreSQL, as its user; raises RuntimeError with what it said."""
        command = as_user([str(_bin(program)), *map(str, arguments)])
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        return done.stdout

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            processes.signal_all([self._process.pid, *processes.descendants([self._process.pid])], number)


class Pair:
    """``with Pair(folder) as pair:``."""

    def __init__(self, folder: Path, job: int = 0) -> None:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        self._ports = tuple(port + PORTS_OF_A_JOB * job for port in PORTS)
        self.primary, self.standby = (Server(folder, port) for port in self._ports)

    def __enter__(self) -> Self:
        try:
            self.primary.initialise()
            self.primary.start()
            self.join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.primary, self.standby):
            server.stop(signal.SIGQUIT)

    def uri(self, database: str, *, options: str = "") -> str:
        """Both servers; whoever connects takes the one that accepts writes."""
        hosts = ",".join(f"{paths.POSTGRES_NAME}:{port}" for port in self._ports)
        return f"postgresql://{USER}@{hosts}/{database}?sslmode=disable{options}"

    def agree(self) -> None:
        """Wait until the standby has all that can be seen on the primary.

        A primary that crashed and came back shows commits that its standby may not have yet: as a tool for high
        availability would, nobody promotes it before it has caught up.
        """
        level = "pg_current_wal_flush_lsn() <= replay_lsn AND sync_state = 'sync'"
        self._until(f"SELECT count(*) FROM pg_stat_replication WHERE {level}", "the standby does not catch up")

    def fail_over(self) -> None:
        """The primary dies, and its standby takes its place; there is no standby until ``join``."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def join(self) -> None:
        """The other server becomes the standby of the primary, and commits wait for it."""
        self.standby.copy_of(self.primary)
        self.standby.start()
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
        self._until(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
            "the standby does not take part in commits",
        )

    def _until(self, query: str, otherwise: str, seconds: float = 30) -> None:
        """Wait until ``query`` on the primary answers 1; raises RuntimeError."""
        deadline = time.monotonic() + seconds
        while self.primary.sql(query) != "1":
            if time.monotonic() > deadline:
                raise RuntimeError(otherwise)
            time.sleep(0.05)


def as_user(command: list[str]) -> list[str]:
    """Run as the server's user."""
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", *command]


def _bin(program: str) -> Path:
    folder = postgres.binaries()
    if folder is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    return folder / program
