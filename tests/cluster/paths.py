"""Where everything lives: addresses, folders and names, in one place so that `down` can find all of it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from .failures import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "local"
# The longest path of a socket in it stays below the 107 characters that a socket may have.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def cluster_name(environment: Mapping[str, str]) -> str:
    """Which of the machine's clusters is meant: OUTBOXRELAY_CLUSTER, or the one without a name of its own.

    Raises ClusterError where it cannot be a name.
    """
    name = environment.get("OUTBOXRELAY_CLUSTER") or DEFAULT
    if not _NAME.fullmatch(name):
        raise ClusterError(
            f"OUTBOXRELAY_CLUSTER is {name!r}; use up to 30 lower-case letters, digits and dashes, no dash at the ends"
        )
    return name


def named(base: str, cluster: str) -> str:
    """The name of a thing that each cluster has for itself."""
    return base if cluster == DEFAULT else f"{base}-{cluster}"


def netns(cluster: str) -> Path:
    """Where the network namespace of a cluster is named."""
    return Path("/run/netns", named("outboxrelay", cluster))


try:
    CLUSTER = cluster_name(os.environ)
except ClusterError as error:
    # Every command needs it before it has begun.
    sys.exit(f"error: {error}")

NAMESPACE = named("outboxrelay", CLUSTER)
NETNS = netns(CLUSTER)

# 198.18.0.0/15 is set aside for benchmarks (RFC 2544): it can hide no real network.
NODE_IP = "198.18.0.1"
POSTGRES_IP = "198.18.0.2"
KAFKA_IP = "198.18.0.3"
DNS_IP = "198.18.0.53"
SERVICE_CIDR = "198.18.64.0/18"
SERVICE_IP = "198.18.64.1"
POD_CIDR = "198.18.128.0/17"
POD_NETWORK = "198.18.128.0"

POSTGRES_NAME = "postgres.rig.test"
KAFKA_NAME = "kafka.rig.test"
NODE_NAME = "outboxrelay-node"
CONTEXT = f"outboxrelay-{CLUSTER}"

SOURCES = Path(__file__).parent / "sources"
TEMPLATES = Path(__file__).parent / "templates"

STATE = Path("/run", named("outboxrelay-cluster", CLUSTER))
LOCK = Path(f"{STATE}.lock")
PROCESSES = STATE / "processes"
LOGS = STATE / "logs"
PKI = STATE / "pki"
CONFIG = STATE / "config"
KUBECONFIGS = STATE / "kubeconfig"
ADMIN_KUBECONFIG = KUBECONFIGS / "admin"
CA_FILE = PKI / "ca.pem"
RESOLV_CONF = CONFIG / "resolv.conf"
NSSWITCH_CONF = CONFIG / "nsswitch.conf"
HOSTS = CONFIG / "hosts"
CONTAINERD_SOCKET = STATE / "containerd.sock"

DATA = Path("/var/lib", STATE.name)
CGROUP = NAMESPACE

# What all clusters of the machine share.
MACHINE = Path("/run/outboxrelay-machine")
MACHINE_LOCK = Path("/run/outboxrelay-machine.lock")
PACKAGES_LOCK = Path("/run/outboxrelay-packages.lock")


def cache() -> Path:
    """The folder of what is expensive to build; it outlives every cluster."""
    named = os.environ.get("OUTBOXRELAY_CACHE")
    if named:
        return Path(named).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "outboxrelay"


def prepare() -> None:
    """Make the state folders; readable by all because PostgreSQL does not run as root."""
    for folder in (STATE, PROCESSES, LOGS, PKI, CONFIG, KUBECONFIGS, DATA):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)


def render(template: str, target: Path, **values: str | int) -> Path:
    """Write a configuration file from its template, replacing it in one step."""
    text = Template((TEMPLATES / template).read_text()).substitute(values)
    return write(target, text)


def write(target: Path, text: str, mode: int = 0o644) -> Path:
    """Write a file so that a reader sees the old text or the new one, never half."""
    half = target.with_name(f".{target.name}.half")
    half.write_text(text)
    half.chmod(mode)
    return half.replace(target)
