"""The programs of the machine that are needed, and how to get those that are missing: all in one go."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import lock, paths, postgres
from .failures import ClusterError
from .progress import say, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CNI = Path("/usr/lib/cni")
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_BEFORE = _POLICY.with_name("policy-rc.d.before-outboxrelay")
_POLICY_MARK = "# outboxrelay test cluster"
_NO_MAIN_CLUSTER = Path("/etc/postgresql-common/createcluster.d/outboxrelay.conf")


@dataclass(frozen=True)
class Need:
    """A program, the Debian package that has it, and what it is for."""

    program: str
    package: str
    use: str


_NEEDS = (
    Need("ip", "iproute2", "services"),
    Need("nsenter", "util-linux", "services"),
    Need("dnsmasq", "dnsmasq-base", "services"),
    Need("openssl", "openssl", "services"),
    Need("pgbouncer", "pgbouncer", "services"),
    Need("prometheus-alertmanager", "prometheus-alertmanager", "services"),
    Need("prometheus", "prometheus", "services"),
    Need("promtool", "prometheus", "services"),
    Need("java", "default-jre-headless", "services"),
    Need("mvn", "maven", "maven"),
    Need("containerd", "containerd", "kubernetes"),
    Need("runc", "runc", "kubernetes"),
    Need("nft", "nftables", "kubernetes"),
    Need("mount", "mount", "services"),
    Need("gcc", "gcc", "pause-build"),
    Need("buildah", "buildah", "images"),
    Need("mmdebstrap", "mmdebstrap", "images"),
    Need("chromium-headless-shell", "chromium-headless-shell", "browser"),
)


def missing(uses: Iterable[str]) -> dict[str, str]:
    """What is missing for these uses: a program or file, and its package."""
    wanted = set(uses)
    absent = {need.program: need.package for need in _NEEDS if need.use in wanted and not find(need.program)}
    if "services" in wanted and postgres.binaries() is None:
        absent["postgres"] = "postgresql"
    if "kubernetes" in wanted and not all((_CNI / name).exists() for name in ("ptp", "host-local", "loopback")):
        absent[f"{_CNI}/ptp"] = "containernetworking-plugins"
    if "pause-build" in wanted and not any(Path("/usr").glob("lib*/**/libc.a")):
        absent["libc.a"] = "libc6-dev"
    return absent


def ensure(uses: Iterable[str]) -> None:
    """Install what is missing, or say in one message what it is."""
    restore_policy()
    if missing(uses):
        with _alone():
            _install(uses)


def _install(uses: Iterable[str]) -> None:
    absent = missing(uses)
    if not absent:
        return
    packages = sorted(set(absent.values()))
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if find("apt-get") is None:
        raise ClusterError(f"these programs are missing: {', '.join(sorted(absent))}. On Debian: {command}")
    with step(f"installing {', '.join(packages)}", "about 1 min"), _no_service_starts():
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *packages)
    still = missing(uses)
    if still:
        raise ClusterError(f"still missing after `{command}`: {', '.join(sorted(still))}")


def find(program: str) -> str | None:
    """The path of a program; root's folders are searched whatever PATH says."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def restore_policy() -> None:
    """Put back the machine's own policy on starting services (also after an installation that was killed)."""
    if _POLICY_BEFORE.exists() or _NO_MAIN_CLUSTER.exists() or _is_ours():
        with _alone():
            _restore()


def _restore() -> None:
    if _POLICY_BEFORE.exists():
        _POLICY_BEFORE.replace(_POLICY)
    elif _is_ours():
        _POLICY.unlink()
    _NO_MAIN_CLUSTER.unlink(missing_ok=True)


def _is_ours() -> bool:
    """Whether services are kept from starting, by an installation that is at work or was killed."""
    return _POLICY.exists() and _POLICY_MARK in _POLICY.read_text(errors="replace")


def _alone() -> contextlib.AbstractContextManager[None]:
    return lock.held(paths.PACKAGES_LOCK, "an installation of packages")


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian starts the services it installs, unless this file forbids it."""
    if _POLICY.exists():
        _POLICY.replace(_POLICY_BEFORE)
    _POLICY.write_text(f"#!/bin/sh\n{_POLICY_MARK}\nexit 101\n")
    _POLICY.chmod(0o755)
    if postgres.binaries() is None:
        _NO_MAIN_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        _NO_MAIN_CLUSTER.write_text("create_main_cluster = false\nstart_conf = 'manual'\n")
    try:
        yield
    finally:
        _restore()


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode != 0:
        say(f"apt-get {arguments[0]} failed")
        raise ClusterError(f"`apt-get {' '.join(arguments)}`:\n{(done.stdout + done.stderr)[-3000:]}")
