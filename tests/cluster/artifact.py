"""Expensive results in the cache: made beside their place and moved there whole, so that half a build is none."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import lock, paths, processes
from .failures import ClusterError
from .progress import step, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


def place(name: str, version: str, ingredients: Iterable[bytes]) -> Path:
    """Where the result of exactly these ingredients lies."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        digest.update(len(ingredient).to_bytes(8, "big") + ingredient)
    return paths.cache() / f"{name}-{version}-{digest.hexdigest()[:12]}"


def ensure(target: Path, title: str, about: str, make: Callable[[Path], None]) -> Path:
    """The finished artifact, made now if it is not there."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock.held(target.with_name(f".lock-{target.name}"), f"{title}, for another cluster,"):
        if not target.is_dir():
            _make(target, title, about, make)
    return target


def _make(target: Path, title: str, about: str, make: Callable[[Path], None]) -> None:
    for stale in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(stale, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    half.chmod(0o755)
    with step(title, about):
        make(half)
        os.replace(half, target)


def build(name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a build outside the namespace, recorded as any other program so that `down` ends it as well."""
    processes.kill(name)
    status = paths.LOGS / f"{name}.status"
    status.unlink(missing_ok=True)
    script = 'status=$1; folder=$2; shift 2; cd "$folder" && "$@"; echo $? > "$status"'
    processes.start(
        name,
        ["sh", "-c", script, "sh", str(status), str(folder), *command],
        environment={**os.environ, **_homes(), **(environment or {})},
        append=False,
    )
    wait_until(lambda: not processes.is_running(name), float("inf"), every=0.2)
    if not status.exists() or status.read_text().strip() != "0":
        raise ClusterError(
            f"building {name.removeprefix('build-')} failed; the end of {processes.log_of(name)}:\n"
            f"{processes.last_lines(name)}\nRun `up` again when the cause is mended: what is built already is kept."
        )


def _homes() -> dict[str, str]:
    """Under sudo the builders' own caches move into ours, so that no file of root's stays in the user's."""
    if "SUDO_UID" not in os.environ:
        return {}
    return {
        "GOCACHE": str(paths.cache() / "go-build"),
        "GOMODCACHE": str(paths.cache() / "go-modules"),
        "MAVEN_ARGS": f"-Dmaven.repo.local={paths.cache() / 'maven'}",
    }
