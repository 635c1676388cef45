"""The programs of Kubernetes, and etcd, built from their published modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import artifact, paths, toolchain

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "v1.36.3"
_MODULE = paths.SOURCES / "kubernetes"
# Without these the programs call themselves v0.0.0, and clients believe it.
_MAJOR, _MINOR, _ = VERSION.removeprefix("v").split(".")
_FLAGS = "-s -w " + " ".join(
    f"-X {package}.git{name}={value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (("Version", VERSION), ("Major", _MAJOR), ("Minor", _MINOR), ("TreeState", "clean"))
)


def programs() -> Path:
    """The folder that holds, or will hold, kube-apiserver, kubelet, kubectl, etcd and the others."""
    ingredients = [(_MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    return artifact.place("kubernetes", VERSION, [*ingredients, _FLAGS.encode()])


def program(name: str) -> str:
    """The path of one of them."""
    return str(programs() / name)


def build() -> Path:
    """The folder of programs, built if need be."""
    about = "about 8 min on two cores the first time, seconds with a warm build cache"
    return artifact.ensure(programs(), f"building Kubernetes {VERSION} and etcd", about, _compile)


def _compile(target: Path) -> None:
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", _FLAGS]
    command = [str(toolchain.go()), "build", *flags, "-o", f"{target}/", "tool"]
    artifact.build("build-kubernetes", ["nice", "-n", "5", *command], _MODULE, toolchain.environment())
    # The last word of go.etcd.io/etcd/server/v3 before its version is what Go names the program.
    (target / "server").rename(target / "etcd")
