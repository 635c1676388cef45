"""An authority of the cluster's own, and the certificates of its servers."""

from __future__ import annotations

import secrets
import subprocess
from typing import TYPE_CHECKING

from . import paths
from .failures import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

_DAYS = "3650"
CLIENT = paths.PKI / "relay-client.pem"
"""Of a client whose name is that of the role cert_only; its key is beside it."""


def ensure_authority() -> None:
    """The authority, and the key that signs service-account tokens; made once per cluster."""
    if not paths.CA_FILE.exists():
        key, half = paths.PKI / "ca.key", paths.PKI / ".ca.half"
        _key(key)
        subject = ("-subj", "/CN=outboxrelay test cluster", "-days", _DAYS)
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", "-new", "-key", str(key), *subject, *usage, "-out", str(half))
        half.replace(paths.CA_FILE)
    signing = paths.PKI / "service-accounts.key"
    if not signing.exists():
        half = paths.PKI / ".service-accounts.half"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(half))
        half.replace(signing)


def ensure(name: str, *hosts: str, subject: str = "") -> tuple[Path, Path]:
    """A server's certificate (also good as a client's) and its key, as PEM files."""
    certificate, key = paths.PKI / f"{name}.pem", paths.PKI / f"{name}.key"
    if certificate.exists():
        return certificate, key
    _key(key)
    request, half = paths.PKI / f".{name}.csr", paths.PKI / f".{name}.half"
    _openssl("req", "-new", "-key", str(key), "-subj", subject or f"/CN={name}", "-out", str(request))
    names = ",".join(f"IP:{host}" if host[0].isdigit() else f"DNS:{host}" for host in hosts)
    extensions = paths.write(
        paths.PKI / f".{name}.ext",
        f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n",
    )
    authority = ("-CA", str(paths.CA_FILE), "-CAkey", str(paths.PKI / "ca.key"))
    serial = ("-set_serial", f"0x{secrets.token_hex(8)}", "-days", _DAYS)
    _openssl(
        *("x509", "-req", "-in", str(request), *authority, *serial),
        *("-extfile", str(extensions), "-out", str(half)),
    )
    half.replace(certificate)
    return certificate, key


def _key(target: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(target))
    target.chmod(0o600)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise ClusterError(f"`openssl {arguments[0]}` failed: {done.stderr.strip()}")
