"""etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

from . import api, certificates, identities, netns, paths, processes
from .kubernetes_build import program

_ETCD = "http://127.0.0.1:2379"
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
_API_ADDRESSES = (paths.NODE_IP, paths.SERVICE_IP, "127.0.0.1")


def start() -> None:
    """Start what does not run, and wait until the API is ready."""
    identities.ensure()
    start_etcd()
    start_api()
    start_controllers()
    start_scheduler()


def start_etcd() -> None:
    """etcd; its data is worth nothing after `down`, so it need not wait for the disk."""
    arguments = ["--name=outboxrelay", f"--data-dir={paths.DATA / 'etcd'}", "--unsafe-no-fsync"]
    clients = [f"--listen-client-urls={_ETCD}", f"--advertise-client-urls={_ETCD}"]
    peer = "http://127.0.0.1:2380"
    peers = [
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=outboxrelay={peer}",
    ]
    _start("etcd", [*arguments, *clients, *peers, "--log-level=warn"])
    processes.wait_ready("etcd", lambda: netns.answers("127.0.0.1", 2379), 30)


def start_api(seconds: float = 90) -> None:
    """The API server."""
    certificate, key = certificates.ensure(
        "kube-apiserver", *_API_NAMES, *_API_ADDRESSES, subject="/O=system:masters/CN=kube-apiserver"
    )
    signing = paths.PKI / "service-accounts.key"
    _start(
        "kube-apiserver",
        [
            f"--etcd-servers={_ETCD}",
            f"--advertise-address={paths.NODE_IP}",
            f"--secure-port={api.PORT}",
            f"--service-cluster-ip-range={paths.SERVICE_CIDR}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={paths.CA_FILE}",
            # Nothing is aggregated, but the controllers wait for this setting and complain without it.
            f"--requestheader-client-ca-file={paths.CA_FILE}",
            "--requestheader-allowed-names=front-proxy",
            f"--token-auth-file={identities.TOKENS}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={signing}",
            f"--service-account-signing-key-file={signing}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={paths.CA_FILE}",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            "--profiling=false",
        ],
    )
    processes.wait_ready("kube-apiserver", api.is_ready, seconds)


def start_controllers() -> None:
    """The controllers, all that are on by default."""
    _start(
        "kube-controller-manager",
        [
            *_client("controller-manager"),
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={paths.DATA / 'flex-volumes'}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={paths.PKI / 'service-accounts.key'}",
            f"--root-ca-file={paths.CA_FILE}",
            f"--cluster-signing-cert-file={paths.CA_FILE}",
            f"--cluster-signing-key-file={paths.PKI / 'ca.key'}",
            "--profiling=false",
        ],
    )


def start_scheduler() -> None:
    """The scheduler."""
    _start("kube-scheduler", [*_client("scheduler"), "--leader-elect=false", "--profiling=false"])


def _client(name: str) -> list[str]:
    file = identities.kubeconfig(name)
    uses = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return ["--bind-address=127.0.0.1", *(f"--{use}={file}" for use in uses)]


def _start(name: str, arguments: list[str]) -> None:
    if not processes.is_running(name):
        processes.start(name, netns.command([program(name), *arguments]))
    processes.send(name, processes.CONTINUE)
