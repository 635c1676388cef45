"""The pause image: one static program, packed as an archive that containerd imports; no image builder needed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

from . import artifact, paths

IMAGE = "outboxrelay.test/pause:1"
_SOURCE = paths.SOURCES / "pause" / "pause.c"


def archive() -> Path:
    """Where the archive is, or will be."""
    return _place() / "pause.tar"


def is_built() -> bool:
    """Whether it is in the cache."""
    return archive().exists()


def build() -> Path:
    """The archive, made if need be."""
    artifact.ensure(_place(), "building the pause image", "about 1 s", _make)
    return archive()


def _place() -> Path:
    return artifact.place("pause", "1", [_SOURCE.read_bytes(), Path(__file__).read_bytes()])


def _make(target: Path) -> None:
    program = target / "pause"
    artifact.build("build-pause", ["gcc", "-O2", "-static", "-s", "-o", str(program), str(_SOURCE)], target)
    layer = _tar({"pause": program.read_bytes()}, mode=0o755)
    machine = os.uname().machine
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    (target / "pause.tar").write_bytes(_tar(files, mode=0o644))


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
