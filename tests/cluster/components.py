"""The parts of Kubernetes one by one, for tests of what goes on without them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from . import controlplane, node, processes
from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

_STARTS: dict[str, Callable[[], None]] = {
    "etcd": controlplane.start_etcd,
    "kube-apiserver": controlplane.start_api,
    "kube-controller-manager": controlplane.start_controllers,
    "kube-scheduler": controlplane.start_scheduler,
    "containerd": node.start_containerd,
    "kubelet": node.start_kubelet,
    "kube-proxy": node.start_proxy,
}
NAMES = tuple(_STARTS)


def start(name: str) -> None:
    """Start one, or let a frozen one go on, and wait until it answers."""
    _known(name)()


def stop(name: str) -> None:
    """End one in order. The pods stay: they do not need any of these to run."""
    _known(name)
    processes.stop(name, signal.SIGTERM)


def kill(name: str) -> None:
    """End one at once."""
    _known(name)
    processes.send(name, signal.SIGKILL)
    processes.stop(name)


def freeze(name: str) -> None:
    """Stop one without ending it."""
    _known(name)
    processes.send(name, signal.SIGSTOP)


def thaw(name: str) -> None:
    """Let a frozen one go on."""
    _known(name)
    processes.send(name, signal.SIGCONT)


def _known(name: str) -> Callable[[], None]:
    if name not in _STARTS:
        raise ClusterError(f"there is no component {name}; there are {', '.join(NAMES)}")
    return _STARTS[name]
