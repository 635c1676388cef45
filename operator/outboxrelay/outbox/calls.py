"""A call of a function in the database, as values; drivers.py sends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

OUTBOX_PUBLISH: Final = "outbox_publish"
"""The function of a table called outbox, found by the session's search_path."""

Name = str | tuple[str, str]
"""A function's name, or schema and name. Taken literally: Orders and orders differ."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, given by name."""

    name: str
    kind: str
    """Its type in PostgreSQL; drivers send texts."""
    value: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """SELECT function(name => value, …)."""

    function: Name
    arguments: tuple[Argument, ...]

    @property
    def place(self) -> str:
        """The function's name, quoted."""
        names = (self.function,) if isinstance(self.function, str) else self.function
        return ".".join(map(quoted, names))

    def text(self, placeholders: Mapping[str, str]) -> str:
        """The statement with a placeholder for each argument; not escaped for drivers that read % or : in it."""
        given = ", ".join(f"{quoted(a.name)} => CAST({placeholders[a.name]} AS {a.kind})" for a in self.arguments)
        return f"SELECT {self.place}({given})"


def quoted(identifier: str) -> str:
    """``identifier`` as PostgreSQL takes it literally."""
    return '"' + identifier.replace('"', '""') + '"'
