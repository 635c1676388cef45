"""The faults that each must have a reason of their own: how they come, and how they go."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.support.line import Line
from tests.support.stand import Stand

Step = Callable[[Stand, Line], Awaitable[object]]


@dataclass(frozen=True)
class Fault:
    """One fault of one relay."""

    name: str
    condition: str
    reason: str
    words: tuple[str, ...]
    """What the message must name; {…} stands for a field of the line."""
    inject: Step
    """Makes the line with the fault in it."""
    heal: Step

    def expected(self, line: Line) -> list[str]:
        """The words for this line."""
        return [word.format(line=line) for word in self.words]


async def make(stand: Stand, line: Line, *, without: str = "") -> None:
    """A line without one of its parts."""
    parts: dict[str, Step] = {
        "table": lambda stand, line: stand.create_table(line),
        "role": lambda stand, line: stand.create_role(line),
        "secret": lambda stand, line: stand.create_secret(line),
        "topic": lambda stand, line: stand.create_topic(line),
    }
    for name, create in parts.items():
        if name != without:
            await create(stand, line)


async def wrong_password(stand: Stand, line: Line) -> None:
    await make(stand, line)
    await stand.create_secret(line, password="wrong")


async def wrong_key(stand: Stand, line: Line) -> None:
    await make(stand, line, without="secret")
    await stand.create_secret(line, key="url")


async def renamed_column(stand: Stand, line: Line) -> None:
    await make(stand, line)
    await stand.sql(f"ALTER TABLE {line.table.qualified} RENAME COLUMN event_type TO kind")


async def rename_back(stand: Stand, line: Line) -> None:
    await stand.sql(f"ALTER TABLE {line.table.qualified} RENAME COLUMN kind TO event_type")


async def read_only(stand: Stand, line: Line) -> None:
    await make(stand, line)
    await stand.sql(f"ALTER ROLE {line.role} SET default_transaction_read_only = on")


async def writable(stand: Stand, line: Line) -> None:
    await stand.sql(f"ALTER ROLE {line.role} RESET default_transaction_read_only")
    await stand.end_sessions(line)


async def without_rights(stand: Stand, line: Line) -> None:
    await make(stand, line)
    await stand.sql(f"REVOKE SELECT ON {line.table.qualified} FROM {line.role}")


FAULTS = (
    Fault(
        "wrong-password",
        "SourceReachable",
        "AuthenticationFailed",
        ("{line.role}",),
        wrong_password,
        lambda stand, line: stand.create_secret(line),
    ),
    Fault(
        "missing-secret",
        "Accepted",
        "SecretNotFound",
        ("{line.secret}",),
        lambda stand, line: make(stand, line, without="secret"),
        lambda stand, line: stand.create_secret(line),
    ),
    Fault(
        "missing-key",
        "Accepted",
        "SecretKeyMissing",
        ("{line.secret}", "uri"),
        wrong_key,
        lambda stand, line: stand.create_secret(line),
    ),
    Fault(
        "missing-table",
        "Accepted",
        "TableNotFound",
        ("{line.table.name}",),
        lambda stand, line: make(stand, line, without="table"),
        lambda stand, line: stand.create_table(line),
    ),
    Fault("missing-column", "Accepted", "SchemaMismatch", ("event_type",), renamed_column, rename_back),
    Fault("read-only", "SourceReachable", "ReadOnly", ("read_only",), read_only, writable),
    Fault(
        "no-rights",
        "SourceReachable",
        "PermissionDenied",
        ("{line.table.name}",),
        without_rights,
        lambda stand, line: stand.grant(line),
    ),
    Fault(
        "unknown-topic",
        "TargetReachable",
        "TopicNotFound",
        ("{line.topic}",),
        lambda stand, line: make(stand, line, without="topic"),
        lambda stand, line: stand.create_topic(line),
    ),
)
