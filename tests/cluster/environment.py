"""What a program inside the namespace is told, and how it gets there."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NoReturn

from . import certificates, helm_build, kafka, kubernetes_build, netns, paths, postgres
from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence


def variables() -> dict[str, str]:
    """The environment of the cluster's users."""
    programs = [str(kubernetes_build.programs()), str(helm_build.programs())]
    searched = [folder for folder in os.environ.get("PATH", "").split(":") if folder not in programs]
    return {
        "KUBECONFIG": str(paths.ADMIN_KUBECONFIG),
        "PATH": ":".join([*programs, *searched]),
        "OUTBOXRELAY_CLUSTER": paths.CLUSTER,
        # Tells a program that it need not go inside, and may stop servers.
        "OUTBOXRELAY_INSIDE": "1",
        # A test that starts Kafka again must find the jars, whatever HOME it gave itself.
        "OUTBOXRELAY_CACHE": str(paths.cache()),
        "OUTBOXRELAY_POSTGRES_URI": postgres.uri(),
        "OUTBOXRELAY_KAFKA_SERVERS": kafka.servers(),
        "OUTBOXRELAY_KAFKA_SSL_SERVERS": kafka.servers(kafka.SSL_PORT),
        "OUTBOXRELAY_KAFKA_SASL_SSL_SERVERS": kafka.servers(kafka.SASL_SSL_PORT),
        "OUTBOXRELAY_KAFKA_SASL_PLAINTEXT_SERVERS": kafka.servers(kafka.SASL_PLAINTEXT_PORT),
        "OUTBOXRELAY_KAFKA_MTLS_SERVERS": kafka.servers(kafka.MTLS_PORT),
        "OUTBOXRELAY_KAFKA_OAUTH_SERVERS": kafka.servers(kafka.OAUTH_PORT),
        "OUTBOXRELAY_CLIENT_CERTIFICATE": str(certificates.CLIENT),
        "OUTBOXRELAY_CA_FILE": str(paths.CA_FILE),
    }


def exports() -> str:
    """The environment as lines for a shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables().items())


def run(command: Sequence[str]) -> NoReturn:
    """Become the command, inside: its exit code and its signals are nobody else's business."""
    if not command:
        raise ClusterError("nothing to run: python3 -m tests.cluster run -- COMMAND …")
    if not netns.exists():
        raise ClusterError("the cluster is not up; start it with: python3 -m tests.cluster up")
    chain = netns.command(command)
    os.execvpe(chain[0], chain, {**os.environ, **variables()})
