"""A step of the suite, and how it can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a part ended, or that it never began."""

    OK = "ok"
    FAILED = "FAILED"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Part:
    """One command."""

    name: str
    command: tuple[str, ...]
    about: str
    """What it is, for people."""
    after: tuple[str, ...] = ()
    """Names of parts that must have ended well before; for a part that tidies up: that must have ended."""
    cluster: str = ""
    """The local cluster that it means, where it means one."""
    tidies_up: bool = False
    """Undoes what the parts before it did: run also after a failure, unless none of them ever began."""
