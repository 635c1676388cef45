"""Who works on the same thing at once waits for one another instead of destroying each other's work.

A lock is a file that is there while it is held: nothing of it stays.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(path: Path, who: str) -> Iterator[None]:
    """Hold the lock of this file; the kernel releases it however this process ends.

    ``who`` is what those who wait are told that they wait for.
    """
    file = _acquire(path, who)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _acquire(path: Path, who: str) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"{who} is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        # Its holder removes the file at the end: a lock on a removed file excludes nobody.
        if _is_still(path, file):
            return file
        os.close(file)


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False
