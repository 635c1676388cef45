"""buildah with a store of its own in the cache, kept to what the last build used."""

import re
import subprocess
from pathlib import Path

from . import packages, paths
from .failures import ClusterError

_LAYER = re.compile(r"^--> (?:Using cache )?([0-9a-f]{11,64})$", re.MULTILINE)


class BuildFailed(ClusterError):
    """A program failed; `log` is all it said."""

    def __init__(self, about: str, log: str) -> None:
        super().__init__(f"{about} failed:\n{log[-3000:].strip()}")
        self.log = log


def folder() -> Path:
    """Where the store and the finished archives are."""
    place = paths.cache() / "images"
    place.mkdir(parents=True, exist_ok=True)
    return place


def buildah(*arguments: str) -> str:
    """Run buildah on the store, and return what it said."""
    driver = _driver()
    store = ["--root", str(folder() / driver), "--runroot", str(folder() / "run"), "--storage-driver", driver]
    # In a mount namespace of its own, so that none of its mounts outlives it.
    alone = ("unshare", "--mount", "--propagation", "private")
    return call(*alone, "buildah", *store, *arguments, about=f"buildah {arguments[0]}")


def _driver() -> str:
    """Overlays are quick and small, but cannot lie on an overlay, which is what a container's own disk often is."""
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(folder())], capture_output=True, text=True, check=True, timeout=10
    )
    known = Path("/proc/filesystems").read_text().split()
    return "overlay" if "overlay" in known and kind.stdout.strip() != "overlayfs" else "vfs"


def call(*command: str, about: str) -> str:
    """Run a program to its end; what it said is told only when it fails."""
    packages.ensure({"images"})
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=1800
    )
    if done.returncode != 0:
        raise BuildFailed(about, done.stdout)
    return done.stdout


def has(name: str) -> bool:
    """Whether the store holds an image of this name."""
    return bool(buildah("images", "--quiet", "--filter", f"reference={name}").strip())


def build(name: str, base: str, *arguments: str) -> None:
    """Build an image from a Dockerfile, and forget every layer that this build did not use, failed or not."""
    try:
        log = buildah("bud", "--isolation", "chroot", "--layers", "--tag", name, *arguments)
    except BuildFailed as failure:
        _prune(failure.log, base)
        raise
    _prune(log, base, name)


def _prune(log: str, *names: str) -> None:
    """Remove every image except these and the layers that the build with this log made or used.

    Without it the store would grow by a whole copy of the image with each layer of each build.
    """
    buildah("rm", "--all")
    used = tuple(_LAYER.findall(log))
    kept = {buildah("images", "--quiet", "--no-trunc", name).strip().removeprefix("sha256:") for name in names}
    every = buildah("images", "--all", "--quiet", "--no-trunc").split()
    ids = dict.fromkeys(line.removeprefix("sha256:") for line in every)
    if old := [image for image in ids if image not in kept and not image.startswith(used)]:
        buildah("rmi", "--force", *old)
