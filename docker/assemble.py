"""Assembles the image's root: what Python and the dependencies need to run, and nothing that installs or builds.

Run inside the build as ``python3 assemble.py VENV TARGET``. It works from whatever base image Python came with,
because it asks the interpreter and the dynamic linker, not a package manager. No shell, pip or apt is left to an
intruder; the package database is cut down to what was taken, so that scanners still see it.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

USER_ID = 65532
LEFT_OUT = {
    *("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo"),
    *("ensurepip", "lib2to3", "distutils", "pydoc_data", "venv"),
}
LEFT_OUT_PATTERN = re.compile(
    r"config-3.*|_tkinter\..*|libpython.*\.a|Activate\.ps1|activate(\..*)?|.*\.pyi|.*\.pyx|.*\.pxd|.*\.[ch]"
)
# 70 MB of source that a generator wrote; only the compiled form of it stays.
GENERATED = ("api", "models")
FILES = (
    "/bin",
    "/lib",
    "/lib64",
    "/sbin",
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl/openssl.cnf",
)
DPKG = Path("/var/lib/dpkg")


class Root:
    """The new root: takes files of the running one to the same place, with every link on the way."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.taken: set[str] = set()

    def take(self, path: Path) -> None:
        """Copy a file or link; a folder is made, and its content left."""
        place = Path(os.path.realpath(path.parent), path.name)
        if str(place) in self.taken or place == Path("/"):
            return
        self.taken.add(str(place))
        if place.parent != path.parent:
            self._take_links_on_the_way(path.parent)
        to = self._target / place.relative_to("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            to.symlink_to(os.readlink(place))
            self.take(Path(os.path.normpath(place.parent / os.readlink(place))))
        elif place.is_dir():
            to.mkdir(exist_ok=True)
        elif place.exists():
            shutil.copy2(place, to)

    def take_tree(self, folder: Path, *without: str) -> None:
        """Copy a folder without what only matters to those who develop or install."""
        for path, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in without and not _is_left_out(name)]
            for name in (*folders, *(name for name in files if not _is_left_out(name))):
                self.take(Path(path, name))

    def _take_links_on_the_way(self, folder: Path) -> None:
        for part in (folder, *folder.parents):
            if part.is_symlink():
                self.take(part)


def _is_left_out(name: str) -> bool:
    return name in LEFT_OUT or LEFT_OUT_PATTERN.fullmatch(name) is not None


def _libraries(programs: list[str]) -> Iterator[Path]:
    """Every library that the dynamic linker would load for these."""
    for program in programs:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, timeout=60)
        if "not found" in listed.stdout:
            sys.exit(f"assemble: a library of {program} is missing:\n{listed.stdout}")
        for found in re.finditer(r"(/\S+) \(0x", listed.stdout):
            yield Path(found.group(1))
    # glibc opens it by name when a thread ends, so that no program lists it.
    yield from Path("/usr/lib").glob("*-linux-gnu/libgcc_s.so.1")
    yield from Path("/lib").glob("*-linux-gnu/libgcc_s.so.1")


def _is_program(path: str) -> bool:
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def _write_accounts(target: Path) -> None:
    home = "/nonexistent:/sbin/nologin\n"
    (target / "etc/passwd").write_text(f"root:x:0:0:root:{home}outboxrelay:x:{USER_ID}:{USER_ID}:outboxrelay:{home}")
    (target / "etc/group").write_text(f"root:x:0:\noutboxrelay:x:{USER_ID}:\n")
    (target / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    (target / "tmp").mkdir()
    (target / "tmp").chmod(0o1777)


def _write_packages(root: Root, target: Path) -> None:
    """The entries of the package database, and the licences, of those packages that a taken file is from."""
    owners = {
        listing.name.removesuffix(".list").partition(":")[0]
        for listing in (DPKG / "info").glob("*.list")
        if any(
            os.path.isfile(line) and os.path.realpath(line) in root.taken for line in listing.read_text().split("\n")
        )
    }
    entries = (DPKG / "status").read_text().split("\n\n")
    kept = [entry for entry in entries if entry.partition("\n")[0].removeprefix("Package: ") in owners]
    status = target / DPKG.relative_to("/") / "status"
    status.parent.mkdir(parents=True)
    status.write_text("\n\n".join(kept) + "\n")
    for owner in owners:
        licence = Path("/usr/share/doc", owner, "copyright")
        if licence.exists():
            root.take(Path(os.path.realpath(licence)))


def main(venv: Path, target: Path) -> None:
    """Take what is needed, then compile all of it."""
    root = Root(target)
    for path in (*map(Path, FILES), Path(sys.executable)):
        if path.exists():
            root.take(path)
    root.take_tree(Path(sysconfig.get_path("stdlib")), "site-packages", "dist-packages")
    root.take_tree(venv)
    for library in _libraries([path for path in sorted(root.taken) if _is_program(path)]):
        root.take(library)
    _write_accounts(target)
    _write_packages(root, target)
    _compile(target)


def _compile(target: Path) -> None:
    generated = [path for part in GENERATED for path in target.glob(f"opt/**/kubernetes/**/client/{part}")]
    for folder in generated:
        _compile_tree(folder, target, without_source=True)
        for source in folder.glob("*.py"):
            source.unlink()
    # A read-only root can never write what is not compiled here, and its files never change.
    _compile_tree(target, target, without_source=False)


def _compile_tree(folder: Path, target: Path, *, without_source: bool) -> None:
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        legacy=without_source,
        stripdir=target,
        prependdir="/",
        workers=0,
        maxlevels=50,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        sys.exit(f"assemble: a module of {folder} does not compile")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
