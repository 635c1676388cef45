"""What the clusters of one machine share: who is up, and what the last one that goes puts back.

Kernel settings, folders that are only there to be covered, and the folder of named networks are the machine's. A
cluster that goes while another is up must leave them: removing a folder takes away what others have mounted on it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from . import lock, paths, processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_OF_THIS_BOOT = ("kernel.json", "made-netns-folder")


def alone() -> AbstractContextManager[None]:
    """Held for moments only, around each change of what is shared."""
    return lock.held(paths.MACHINE_LOCK, "another cluster")


def join() -> None:
    """Be one of those who are up, before anything shared is touched."""
    with alone():
        members = paths.MACHINE / "members"
        members.mkdir(parents=True, exist_ok=True)
        if not others() and not _is_up(paths.CLUSTER):
            # Noted before the machine's last start, and true no more; folders outlive it, and so does their note.
            for name in _OF_THIS_BOOT:
                (paths.MACHINE / name).unlink(missing_ok=True)
        paths.write(members / paths.CLUSTER, processes.boot())


def others() -> list[str]:
    """The names of the clusters that are up, without this one."""
    members = (file.name for file in (paths.MACHINE / "members").glob("[!.]*"))
    return sorted(name for name in members if name != paths.CLUSTER and _is_up(name))


def leave(put_back: Callable[[], list[str]]) -> list[str]:
    """Be up no more; the last one puts back what is shared. What could not be is returned."""
    with alone():
        left = [] if others() else put_back()
        (paths.MACHINE / "members" / paths.CLUSTER).unlink(missing_ok=True)
        if not others() and not left:
            shutil.rmtree(paths.MACHINE, ignore_errors=True)
    return left


def _is_up(name: str) -> bool:
    try:
        return (paths.MACHINE / "members" / name).read_text() == processes.boot()
    except FileNotFoundError:
        return False
