"""Secrets that change while a relay runs: files as they are replaced, certificates, users of Kafka, connections."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

if TYPE_CHECKING:
    from .relay_process import RelayProcess

ESTABLISHED = "01"


def replace_file(path: Path, text: str) -> None:
    """At once: nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_text(text)
    half.replace(path)


def client_certificate(folder: Path, authority: Path, name: str) -> tuple[str, str]:
    """A new certificate for the client ``name`` and its key, as PEM; ``authority``: its certificate, the key beside."""
    folder.mkdir(parents=True, exist_ok=True)
    key, request, certificate = (folder / part for part in ("tls.key", "tls.csr", "tls.crt"))
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
    signer = ("-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial", "-CAserial", folder / "srl")
    _openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-out", certificate)
    return certificate.read_text(), key.read_text()


def serial_of(folder: Path) -> int:
    """The serial number of the certificate that ``client_certificate`` left in ``folder``."""
    said = _openssl("x509", "-in", folder / "tls.crt", "-noout", "-serial")
    return int(said.strip().partition("=")[2], 16)


@dataclass(frozen=True)
class ScramUser:
    """A user of the brokers; ``servers`` where administrators are not asked who they are.

    Never removed: a broker of Kafka 4.2 that finds the removal of a user in its log forgets others at its next start.
    """

    servers: str
    name: str

    async def set_password(self, password: str) -> None:
        """Create the user, or change the password; the brokers know it when this returns."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        admin = AdminClient({"bootstrap.servers": self.servers})
        wanted = UserScramCredentialUpsertion(self.name, info, password.encode())
        [future] = admin.alter_user_scram_credentials([wanted]).values()
        await asyncio.to_thread(future.result, 30)


def connections(relay: RelayProcess, port: int) -> set[int]:
    """Local ports of the relay's open TCP connections to ``port`` of whatever server."""
    process = Path(f"/proc/{relay.process.pid}")
    own = {_inode(item) for item in (process / "fd").iterdir()}
    found: set[int] = set()
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            _, local, remote, state, *_rest = line.split()
            if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port and line.split()[9] in own:
                found.add(int(local.rpartition(":")[2], 16))
    return found


def logged(relay: RelayProcess, action: str) -> list[dict[str, Any]]:
    """Lines of the relay's log with that name."""
    lines = [json.loads(line) for line in relay.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == action]


def _inode(descriptor: Path) -> str:
    try:
        target = str(descriptor.readlink())
    except FileNotFoundError:
        return ""
    return target[len("socket:[") : -1] if target.startswith("socket:[") else ""


def _openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
