"""The only module that prints: one line per event, the same in a terminal and in a log."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_began = time.monotonic()
_lock = threading.Lock()
_timings: list[tuple[str, float, float]] = []


def _paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stderr.isatty() else text


def say(text: str) -> None:
    """A line for people, on standard error: standard output belongs to `env` and `run`."""
    with _lock:
        passed = _paint("2", f"{time.monotonic() - _began:6.1f}s")
        print(f"{passed}  {text}", file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """The result of a command, on standard output."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Why it did not work."""
    with _lock:
        print(_paint("31", "error: ") + text, file=sys.stderr, flush=True)


@contextmanager
def step(name: str, about: str = "") -> Iterator[None]:
    """Announce a step, time it, and say when it is done; a failed step is told by its exception."""
    say(f"{_paint('36', '…')} {name}" + (f" ({about})" if about else ""))
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    _timings.append((name, start - _began, seconds))
    say(f"{_paint('32', '✓')} {name} {seconds:.1f}s")


def summary() -> None:
    """The time of each step, in the order in which they began."""
    rows = sorted(_timings, key=lambda row: row[1])
    width = max((len(name) for name, _, _ in rows), default=0)
    with _lock:
        print("\nstep".ljust(width + 3) + "began at    took", file=sys.stderr)
        for name, began, seconds in rows:
            print(f"{name.ljust(width)}  {began:7.1f}s {seconds:6.1f}s", file=sys.stderr)
        print(f"{'all'.ljust(width)}           {time.monotonic() - _began:6.1f}s", file=sys.stderr, flush=True)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Ask until it is true or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
