"""The name service of the namespace: it knows two names and what a test publishes, and denies all others at once.

Without one, everything that resolves a name, even the reverse look-up of a peer, hangs for seconds.
"""

from __future__ import annotations

from . import netns, paths, processes

NAME = "dnsmasq"


def start() -> None:
    """Start it unless it runs, and wait until it listens."""
    if not processes.is_running(NAME):
        paths.HOSTS.mkdir(exist_ok=True)
        names = {paths.POSTGRES_NAME: paths.POSTGRES_IP, paths.KAFKA_NAME: paths.KAFKA_IP}
        processes.start(
            NAME,
            netns.command(
                [
                    "dnsmasq",
                    "--keep-in-foreground",
                    "--log-facility=-",
                    "--conf-file=/dev/null",
                    "--pid-file=",
                    "--user=root",
                    "--no-resolv",
                    "--no-hosts",
                    "--bind-interfaces",
                    f"--listen-address={paths.DNS_IP}",
                    # A file that comes is read at once; it has lines as /etc/hosts has them.
                    f"--hostsdir={paths.HOSTS}",
                    *(f"--address=/{name}/{address}" for name, address in names.items()),
                    "--local=/#/",
                ]
            ),
        )
    processes.wait_ready(NAME, lambda: netns.answers(paths.DNS_IP, 53), 10)
