"""A relay's only way out: a wire on which packets are delayed, lost, or silently cut.

The kernel's own emulation of bad networks (netem) is a module that many machines lack, so packets pass through this
process: one TUN device in a network namespace of the relay's own, one among the servers, and a thread between them.
Namespace and devices are held by descriptors alone: nothing is left of them when this process ends, however it does.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Way = Literal["both", "out", "in"]

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TUN_WITHOUT_HEADER = 0x0001 | 0x1000
LONGEST_PACKET = 65_536
MTU = "9000"
SOURCE, DESTINATION = slice(12, 16), slice(16, 20)
"""Of an IPv4 header."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to packets between the relay and ``peer`` (any, where that is None)."""

    peer: str | None = None
    way: Way = "both"
    """Seen from the relay."""
    loss: float = 0.0
    """Share of the packets, 0 to 1; 1 is a cut."""
    delay: float = 0.0
    """Seconds."""
    jitter: float = 0.0
    """Seconds on top of it, at most; the order of packets stays."""

    def concerns(self, packet: bytes, way: Literal["out", "in"]) -> bool:
        """Whether ``packet``, on its way ``way``, meets it."""
        if self.way not in ("both", way):
            return False
        address = packet[DESTINATION if way == "out" else SOURCE]
        return self.peer is None or address == ip_address(self.peer).packed


@dataclass(slots=True)
class _Lane:
    """Packets of one direction, in the order in which they leave."""

    source: int
    target: int
    way: Literal["out", "in"]
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    last: float = 0.0
    count: int = 0


class Wire:
    """``with Wire(0, 1) as wire:``; inside the servers' network, as root. ``job``: of runs that go side by side."""

    def __init__(self, job: int, number: int) -> None:
        self.address = f"198.19.{job}.{number}"
        self._name = f"chaos{job}-{number}"
        self._troubles: tuple[Trouble, ...] = ()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._namespace, near = in_thread(self._make_network)
        far = open_tun(self._name)
        _ip("link", "set", self._name, "mtu", MTU, "up")
        _ip("route", "add", f"{self.address}/32", "dev", self._name)
        self._lanes = (_Lane(near, far, "out"), _Lane(far, near, "in"))
        self._thread = threading.Thread(target=self._carry, name=f"wire {self.address}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        for descriptor in (*(lane.source for lane in self._lanes), self._namespace):
            os.close(descriptor)

    def trouble(self, *troubles: Trouble) -> None:
        """These, and no others, from now on."""
        self._troubles = troubles

    def inside(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, done in the relay's network; processes that it starts stay there."""

        def there() -> T:
            _libc("setns", self._namespace, CLONE_NEWNET)
            return work()

        return in_thread(there)

    def _make_network(self) -> tuple[int, int]:
        _libc("unshare", CLONE_NEWNET)
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        device = open_tun("eth0")
        _ip("link", "set", "lo", "up")
        _ip("address", "add", f"{self.address}/32", "dev", "eth0")
        _ip("link", "set", "eth0", "mtu", MTU, "up")
        _ip("route", "add", "default", "dev", "eth0")
        return namespace, device

    def _carry(self) -> None:
        while not self._stop.is_set():
            now = time.monotonic()
            due = [lane.waiting[0][0] for lane in self._lanes if lane.waiting]
            wait = min([0.2, *(max(0.0, at - now) for at in due)])
            ready, _, _ = select.select([lane.source for lane in self._lanes], [], [], wait)
            for lane in self._lanes:
                if lane.source in ready:
                    self._take(lane)
                self._give(lane)

    def _take(self, lane: _Lane) -> None:
        packet = os.read(lane.source, LONGEST_PACKET)
        if len(packet) < DESTINATION.stop or packet[0] >> 4 != 4:
            return
        delay = 0.0
        for trouble in self._troubles:
            if trouble.concerns(packet, lane.way):
                if random.random() < trouble.loss:
                    return
                delay += trouble.delay + random.uniform(0, trouble.jitter)
        lane.last = max(lane.last, time.monotonic() + delay)
        lane.count += 1
        heapq.heappush(lane.waiting, (lane.last, lane.count, packet))

    def _give(self, lane: _Lane) -> None:
        now = time.monotonic()
        while lane.waiting and lane.waiting[0][0] <= now:
            os.write(lane.target, heapq.heappop(lane.waiting)[2])


def open_tun(name: str) -> int:
    """A TUN device of this thread's network; it lasts as long as its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), TUN_WITHOUT_HEADER))
    return descriptor


def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done in a thread that ends afterwards: its network may be changed there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _libc(function: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), function)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
