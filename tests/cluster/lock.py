"""Two `up` or `down` at once wait for one another instead of destroying each other's work."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import paths, progress

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def held() -> Iterator[None]:
    """Hold the machine-wide lock; the kernel releases it however this process ends."""
    file = _acquire()
    try:
        yield
    finally:
        os.close(file)


def _acquire() -> int:
    while True:
        file = os.open(paths.LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another `up` or `down` is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        # `down` removes the file while it holds it: a lock on a removed file excludes nobody.
        if _is_still(file):
            return file
        os.close(file)


def _is_still(file: int) -> bool:
    try:
        return os.stat(paths.LOCK).st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
