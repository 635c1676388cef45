"""The way up: what can go on at the same time does, and what is up already is left alone."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from . import (
    certificates,
    controlplane,
    dns,
    helm_build,
    kafka,
    kafka_build,
    kubernetes_build,
    limits,
    machine,
    netns,
    node,
    packages,
    paths,
    pause,
    postgres,
    processes,
    teardown,
)
from .failures import ClusterError
from .progress import say, step, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def up(*, services_only: bool, postgres_version: str | None = None) -> None:
    """Bring up the cluster, or what of it is not up; with Debian's PostgreSQL, or that of a major version."""
    if netns.is_inside():
        raise ClusterError("`up` must run outside of every cluster; inside, that one is up already")
    limits.check(services_only=services_only)
    teardown.forget_earlier_boot()
    machine.join()
    paths.prepare()
    paths.write(paths.STATE / "boot", processes.boot())
    packages.ensure(_uses(services_only, postgres_version))
    certificates.ensure_authority()
    netns.create()
    dns.start()
    tasks: list[Callable[[], None]] = [lambda: _postgres(postgres_version), _kafka]
    if not services_only:
        tasks.append(_Kubernetes().up)
    _together(tasks)
    summary()
    say(f"the cluster {paths.CLUSTER} is up; run something in it: python3 -m tests.cluster run -- COMMAND …")


def _uses(services_only: bool, postgres_version: str | None) -> list[str]:
    uses = ["services"]
    if not kafka_build.jars().exists() or postgres_version:
        uses.append("maven")
    if not services_only:
        uses += ["kubernetes", "images"]
        if not pause.is_built():
            uses.append("pause-build")
    return uses


def _postgres(major: str | None) -> None:
    if major:
        postgres.choose(major)
    with step(f"PostgreSQL {postgres.version()} on {paths.POSTGRES_NAME}:{postgres.PORT}", "about 3 s"):
        postgres.start()


def _kafka() -> None:
    kafka_build.build()
    kafka.record_classes()
    with step(f"Kafka {kafka_build.VERSION} on {kafka.servers()}", "about 10 s"):
        kafka.start()


class _Kubernetes:
    """The control plane and the node; containerd and the pause image get ready meanwhile."""

    def up(self) -> None:
        """From nothing to a node that is ready."""
        with ThreadPoolExecutor(1) as beside:
            runtime = beside.submit(node.start_runtime)
            kubernetes_build.build()
            with step("control plane (etcd, API server, controllers, scheduler)", "about 8 s"):
                controlplane.start()
            runtime.result()
        with step("node (kubelet, kube-proxy)", "about 8 s"):
            node.start()
        helm_build.build()


def _together(tasks: Sequence[Callable[[], None]]) -> None:
    """Run all at once; the first that fails ends the wait, because the others may take minutes."""
    failed = threading.Event()

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(len(tasks)) as pool:
        running: list[Future[None]] = [pool.submit(guarded, task) for task in tasks]
        pending = set(running)
        while pending:
            done, pending = wait(pending, timeout=1)
            if any(future.exception() for future in done):
                _end_builds()
                break
    for future in running:
        future.result()


def _end_builds() -> None:
    for name in processes.names():
        if name.startswith("build-"):
            processes.kill(name)
