"""Helm, built from its published module; apart from Kubernetes because their dependencies differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import artifact, paths, toolchain

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "v4.3.1"
_MODULE = paths.SOURCES / "helm"
_FLAGS = f"-s -w -X helm.sh/helm/v4/internal/version.version={VERSION}"


def programs() -> Path:
    """The folder that holds, or will hold, helm."""
    ingredients = [(_MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    return artifact.place("helm", VERSION, [*ingredients, _FLAGS.encode()])


def build() -> Path:
    """The folder with helm, built if need be."""
    return artifact.ensure(programs(), f"building Helm {VERSION}", "about 2 min the first time", _compile)


def _compile(target: Path) -> None:
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", _FLAGS]
    command = [str(toolchain.go()), "build", *flags, "-o", f"{target}/", "tool"]
    artifact.build("build-helm", ["nice", "-n", "5", *command], _MODULE, toolchain.environment())
