"""The one node: containerd, the kubelet and kube-proxy."""

from __future__ import annotations

import subprocess
import time

from . import api, certificates, cgroups, identities, images, kernel, mounts, netns, paths, pause, processes
from .kubernetes_build import program
from .progress import step


def start_runtime() -> None:
    """containerd with the image of the pods' first program."""
    archive = pause.build()
    if processes.is_running("containerd"):
        return
    with step("containerd", "about 2 s"):
        start_containerd()
        if not images.has(pause.IMAGE):
            images.load(archive)


def start() -> None:
    """Start what does not run, and wait until the node takes pods."""
    start_proxy()
    start_kubelet()


def start_containerd() -> None:
    """containerd, in the mounts that it shares with the kubelet."""
    if not processes.is_running("containerd"):
        (paths.CONFIG / "cni").mkdir(exist_ok=True)
        paths.render("pods.conflist", paths.CONFIG / "cni" / "pods.conflist", pods=paths.POD_CIDR)
        config = paths.render(
            "containerd.toml",
            paths.CONFIG / "containerd.toml",
            data=str(paths.DATA),
            state=str(paths.STATE),
            config=str(paths.CONFIG),
            pause=pause.IMAGE,
            snapshotter=_snapshotter(),
        )
        command = netns.beside(mounts.hold(), ["containerd", "--config", str(config)])
        processes.start("containerd", command)
    processes.send("containerd", processes.CONTINUE)
    processes.wait_ready("containerd", images.answers, 30)


def start_kubelet(seconds: float = 120) -> None:
    """The kubelet."""
    since = 0.0
    if not processes.is_running("kubelet"):
        kernel.remember()
        cgroups.create()
        certificate, key = certificates.ensure("kubelet", paths.NODE_NAME, paths.NODE_IP)
        config = paths.render(
            "kubelet.json",
            paths.CONFIG / "kubelet.json",
            node=paths.NODE_IP,
            dns=paths.DNS_IP,
            authority=str(paths.CA_FILE),
            certificate=str(certificate),
            key=str(key),
            cgroup=paths.CGROUP,
            data=str(paths.DATA),
            state=str(paths.STATE),
            config=str(paths.CONFIG),
        )
        arguments = [
            f"--config={config}",
            f"--kubeconfig={identities.kubeconfig('kubelet')}",
            f"--root-dir={paths.DATA / 'kubelet'}",
            f"--cert-dir={paths.DATA / 'kubelet' / 'pki'}",
            f"--hostname-override={paths.NODE_NAME}",
            f"--node-ip={paths.NODE_IP}",
        ]
        # The API tells moments in whole seconds.
        since = float(int(time.time()))
        processes.start("kubelet", netns.beside(mounts.hold(), [program("kubelet"), *arguments]))
    processes.send("kubelet", processes.CONTINUE)
    processes.wait_ready("kubelet", lambda: api.node_is_ready(since), seconds)


def start_proxy() -> None:
    """kube-proxy, for the addresses of Services."""
    if not processes.is_running("kube-proxy"):
        arguments = [
            f"--kubeconfig={identities.kubeconfig('proxy')}",
            f"--hostname-override={paths.NODE_NAME}",
            f"--cluster-cidr={paths.POD_CIDR}",
            "--proxy-mode=nftables",
            # The table of connections is the machine's, not the namespace's: leave its size alone.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--oom-score-adj=0",
            "--metrics-bind-address=127.0.0.1:10249",
            "--healthz-bind-address=127.0.0.1:10256",
        ]
        processes.start("kube-proxy", netns.command([program("kube-proxy"), *arguments]))
    processes.send("kube-proxy", processes.CONTINUE)


def _snapshotter() -> str:
    """Overlays cannot lie on an overlay, which is what a container's own disk often is."""
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(paths.DATA)],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return "native" if kind.stdout.strip() == "overlayfs" else "overlayfs"
