"""The base of the operator's image where no registry is at hand: the machine's own distribution with Python."""

import hashlib
import platform
import re
import tempfile
from pathlib import Path

from . import image_store
from .failures import ClusterError
from .progress import step

_APT = Path("/etc/apt")
_PACKAGES = "python3,python3-venv,ca-certificates,libstdc++6"
# The build copies the base at least once, so what no step of it uses is taken out.
_UNUSED = (
    *("usr/share/doc/*/*[!t]", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/perl"),
    *("usr/lib/*/gconv", "usr/lib/*/libperl*", "usr/lib/*/perl", "var/cache/apt", "var/lib/apt/lists", "var/log"),
)


def name() -> str:
    """The reference of the base image, which changes with what it is made from."""
    sources = b"".join(file.read_bytes() for file in _sources())
    recipe = " ".join((_PACKAGES, *_UNUSED, platform.machine()))
    digest = hashlib.sha256(sources + recipe.encode())
    return f"localhost/outboxrelay-base:{_codename()}-{digest.hexdigest()[:12]}"


def ensure() -> str:
    """The reference of the base image, made now if it is not in the store."""
    base = name()
    if not image_store.has(base):
        with step(f"building the base image from {_codename()}", "about 30 s"):
            _make(base)
    return base


def _make(base: str) -> None:
    with tempfile.TemporaryDirectory(prefix="outboxrelay-base-") as folder:
        archive = Path(folder, "base.tar")
        remove = f'cd "$1" && rm -rf {" ".join(_UNUSED)}'
        command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={_PACKAGES}"]
        image_store.call(
            *(*command, f"--customize-hook={remove}", _codename(), str(archive), *map(str, _sources())),
            about="mmdebstrap",
        )
        container = image_store.buildah("from", "scratch").strip()
        image_store.buildah("add", "--quiet", container, str(archive), "/")
        image_store.buildah("commit", "--quiet", "--rm", container, base)


def _sources() -> list[Path]:
    """The files of apt's sources that name this machine's release."""
    found = [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*.list"))]
    found += sorted((_APT / "sources.list.d").glob("*.sources"))
    named = re.compile(rf"^(deb .*|Suites:.*)\s{_codename()}(\s|$)", re.MULTILINE)
    files = [file for file in found if file.is_file() and named.search(file.read_text())]
    if not files:
        raise ClusterError(f"no file below {_APT} names the sources of {_codename()}")
    return files


def _codename() -> str:
    release = platform.freedesktop_os_release()
    if "VERSION_CODENAME" not in release:
        raise ClusterError("the base image is made from a Debian or Ubuntu machine's own sources; this is neither")
    return release["VERSION_CODENAME"]
