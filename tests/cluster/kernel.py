"""Settings of the machine's kernel that the kubelet changes: remembered before, put back after."""

from __future__ import annotations

import json
from pathlib import Path

from . import machine, paths

_SETTINGS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
_SAVED = paths.MACHINE / "kernel.json"


def remember() -> None:
    """Keep the values from before the first cluster; a later `up` must not take those of the kubelet for them."""
    with machine.alone():
        if not _SAVED.exists():
            values = {name: _file(name).read_text().strip() for name in _SETTINGS}
            paths.write(_SAVED, json.dumps(values))


def restore() -> None:
    """Put back what differs."""
    if not _SAVED.exists():
        return
    for name, value in json.loads(_SAVED.read_text()).items():
        if name in _SETTINGS and _file(name).read_text().strip() != value:
            _file(name).write_text(value)
    _SAVED.unlink()


def _file(name: str) -> Path:
    return Path("/proc/sys") / name
