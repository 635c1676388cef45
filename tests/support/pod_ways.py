"""Ways to a pod that a firewall cuts, inside the cluster's network: from other pods, or from its own node."""

import subprocess
from enum import StrEnum

from outboxrelay.api.names import RELAY_PORT
from tests.cluster import netns

TABLE = "outboxrelay_faults"


class Way(StrEnum):
    """Who cannot reach the pod's port; also the name of the set of addresses."""

    PODS = "pods"
    """Other pods, so the operator."""
    NODE = "node"
    """The node itself, so the kubelet, which asks whether the pod is alive and ready."""


RULES = f"""
table ip {TABLE} {{
    set {Way.PODS} {{ type ipv4_addr; }}
    set {Way.NODE} {{ type ipv4_addr; }}
    chain from_pods {{
        type filter hook forward priority -10; policy accept;
        ip daddr @{Way.PODS} tcp dport {RELAY_PORT} drop
    }}
    chain from_node {{
        type filter hook output priority -10; policy accept;
        ip daddr @{Way.NODE} tcp dport {RELAY_PORT} drop
    }}
}}
"""


class PodWays:
    """Cuts them, and opens them again."""

    def __init__(self) -> None:
        self._cut: dict[str, str] = {}
        """Relay → the element that stands for its pod."""
        self._made = False

    def cut(self, relay: str, way: Way, address: str) -> None:
        """Let nobody of ``way`` reach the pod of ``relay`` at ``address``: what is sent there is lost."""
        if not self._made:
            _nft(RULES)
            self._made = True
        self._cut[relay] = f"element ip {TABLE} {way} {{ {address} }}"
        _nft(f"add {self._cut[relay]}")

    def restore(self, relay: str) -> None:
        """Let them through again."""
        _nft(f"delete {self._cut.pop(relay)}")

    def close(self) -> None:
        """Leave nothing behind."""
        if self._made:
            _nft(f"delete table ip {TABLE}")
        self._made = False


def _nft(text: str) -> None:
    command = netns.command(["nft", "-f", "-"])
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, f"nft: {done.stderr}"
