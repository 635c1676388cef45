"""``python3 -m tests.cluster.image``: builds the operator's image from its Dockerfile and loads it into the node.

The last line on standard output is the image's reference, which changes with what the image is made from. With
``--previous`` it is the image of the release before this one, for tests of upgrades.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import previous

from . import image_base, image_pip, image_store, images, paths, progress
from .failures import ClusterError
from .progress import step

_PROJECT = Path(__file__).parents[2]
_ARCHIVES_KEPT = 5
_SETTINGS = r"PATH|HOME|XDG_.*|PIP_.*|OUTBOXRELAY_.*|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|(?i:(https?|no)_proxy)"


def main(arguments: list[str]) -> int:
    """Build what is not built yet, load it, and print the reference."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster.image", description=__doc__)
    parser.add_argument("--no-load", action="store_true", help="build only, for example without a cluster")
    parser.add_argument("--previous", action="store_true", help="that of the release before this one")
    parser.add_argument("--print-size", action="store_true", help="print the image's size before its reference")
    options = parser.parse_args(arguments)
    try:
        _become_root(arguments)
        with previous.unpacked() if options.previous else contextlib.nullcontext(_PROJECT) as project:
            name, archive = ensure(project)
        if not options.no_load and not images.has(name):
            with step(f"loading {name}", "about 5 s"):
                images.load(archive)
    except ClusterError as error:
        progress.complain(str(error))
        return 1
    if options.print_size:
        progress.answer(f"{archive.stat().st_size / 1e6:.1f} MB")
    progress.answer(name)
    return 0


def _become_root(arguments: list[str]) -> None:
    """Return as root, or start this command again as root in the place of this process."""
    if os.geteuid() == 0:
        return
    if shutil.which("sudo") is None:
        raise ClusterError("building the image makes mounts, which needs root; run the same command as root")
    os.environ["OUTBOXRELAY_CACHE"] = str(paths.cache())
    # By name and not by value: an address in pip's settings may hold a password.
    kept = ",".join(name for name in os.environ if re.fullmatch(_SETTINGS, name))
    asks = [] if sys.stdin.isatty() else ["-n"]
    os.execvp(
        "sudo", ["sudo", *asks, f"--preserve-env={kept}", sys.executable, "-m", "tests.cluster.image", *arguments]
    )


def ensure(project: Path = _PROJECT) -> tuple[str, Path]:
    """The reference of a checkout's image and its docker-archive, built now if need be."""
    with _alone():
        base = image_base.name()
        name = f"localhost/outboxrelay:{_digest(project, base)}"
        archive = image_store.folder() / f"outboxrelay-{name.rpartition(':')[2]}.tar"
        if not archive.exists():
            _build(project, name, archive)
        archive.touch()
        for old in sorted(archive.parent.glob("outboxrelay-*.tar"), key=_age)[_ARCHIVES_KEPT:]:
            old.unlink()
    return name, archive


def _build(project: Path, name: str, archive: Path) -> None:
    base = image_base.ensure()
    with step(f"building {name}", "about 1 min the first time"), tempfile.TemporaryDirectory() as folder:
        settings = [
            "--build-arg",
            f"BASE_IMAGE={base}",
            "--build-arg",
            f"PIP_CONFIG_FILE={image_pip.INSIDE}/pip.conf",
        ]
        settings += image_pip.mounts(Path(folder))
        image_store.build(name, base, *settings, str(project))
        half = archive.with_suffix(".half")
        half.unlink(missing_ok=True)
        image_store.buildah("push", "--quiet", name, f"docker-archive:{half}:{name}")
        half.replace(archive)


def _digest(project: Path, base: str) -> str:
    """A hash of all that the image is made from."""
    digest = hashlib.sha256(base.encode())
    for file in inputs(project):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(project)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def inputs(project: Path) -> Iterator[Path]:
    """The files that the build sees, by the one list there is of them."""
    ignored = project / ".dockerignore"
    yield from (ignored, project / "Dockerfile")
    for line in sorted(ignored.read_text().splitlines()):
        if line.startswith("!"):
            entry = project / line.removeprefix("!")
            files = [entry] if entry.is_file() else sorted(file for file in entry.rglob("*") if file.is_file())
            yield from (file for file in files if "__pycache__" not in file.parts)


def _age(file: Path) -> float:
    return -file.stat().st_mtime


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two builds at once would prune each other's layers; the kernel releases this however the process ends."""
    with open(image_store.folder() / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
