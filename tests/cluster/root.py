"""Namespaces and mounts are root's: become root where that needs no answer, otherwise say so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from . import paths
from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT = ("PATH", "HOME", "CI", "PYTHONPATH", "VIRTUAL_ENV", "TERM", "NO_COLOR", "XDG_CACHE_HOME")


def ensure(arguments: Sequence[str]) -> None:
    """Return as root, or start this command again as root in the place of this process."""
    if os.geteuid() == 0:
        return
    why = (
        "the local cluster makes network namespaces, mounts and control groups, and installs programs, which needs root"
    )
    if shutil.which("sudo") is None:
        raise ClusterError(f"{why}, and there is no sudo; run the same command as root")
    asks = ["-n"] if "CI" in os.environ or not sys.stdin.isatty() else []
    if asks and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise ClusterError(f"{why}, and sudo wants a password here; run the same command as root")
    kept = [f"{name}={os.environ[name]}" for name in _KEPT if name in os.environ]
    kept += [f"{name}={value}" for name, value in os.environ.items() if name.startswith("OUTBOXRELAY_")]
    kept.append(f"OUTBOXRELAY_CACHE={paths.cache()}")
    again = ["sudo", *asks, "env", *kept, sys.executable, "-m", "tests.cluster", *arguments]
    os.execvp("sudo", again)
