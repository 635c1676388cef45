"""What the database and the way to it can answer, as one SourceFault with a reason. The only place that decides it.

Messages are the server's own or the operating system's; neither holds a URI or a password.
"""

import asyncio
import socket
import ssl

import asyncpg

from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault

SHAPE_STATES = (
    *("42703", "42704", "42725", "42804", "42809", "42846", "42883", "428C9"),
    *("42P10", "42P21", "42P22", "42000"),
)  # fmt: skip
"""SQLSTATEs of a column, a type, an operator, a key or a collation that is not what a statement of ours expects."""

STATES: tuple[tuple[str, Reason], ...] = (
    ("28", Reason.AUTHENTICATION_FAILED),
    ("53300", Reason.TOO_MANY_CONNECTIONS),
    ("25006", Reason.READ_ONLY),
    ("42501", Reason.PERMISSION_DENIED),
    ("42P01", Reason.TABLE_NOT_FOUND),
    ("3F000", Reason.TABLE_NOT_FOUND),
    ("57014", Reason.TIMEOUT),
    ("55P03", Reason.TIMEOUT),
    ("25P03", Reason.TIMEOUT),
    ("25P04", Reason.TIMEOUT),
    ("26000", Reason.UNSUPPORTED_SERVER),
    ("42P05", Reason.UNSUPPORTED_SERVER),
    ("0A000", Reason.UNSUPPORTED_SERVER),
    *((state, Reason.SCHEMA_MISMATCH) for state in SHAPE_STATES),
)
"""SQLSTATE prefixes, the first that fits decides; any other is DatabaseError (a full disk, a trigger that raises)."""

SHAPE_REASONS = frozenset({Reason.TABLE_NOT_FOUND, Reason.SCHEMA_MISMATCH, Reason.UNSUPPORTED_SERVER})
"""What a statement of ours says of the table or the server; one of a trigger's says nothing of them."""

POOLED_STATES = ("26000", "42P05")
"""Prepared statements that are gone or there already: sessions are handed from one client to the next in between."""
POOLED = "a pooler moves the connection between statements: use session or transaction pooling (PostgreSQL: {})"

BUG_STATES = frozenset(
    {"42601", "42702", "42712", "42803", "42P02", "42P08", "42P09", "42P18", "42P19", "42P20"},
)
"""SQLSTATEs that no table, privilege or server can cause, but only a statement of ours that is wrong."""

CONNECTION_STATES = ("08", "57P", "3D")
"""SQLSTATE prefixes of a connection that was refused or ended; asyncpg itself uses 08 when it breaks."""

CLIENT_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Everything that asyncpg raises; what of it is a fault, ``translate`` says."""

UNKNOWN_LOGIN = ("authentication method requested", "SASL Authentication method")
"""What asyncpg's InterfaceError says of a server that wants a login which asyncpg does not know."""

LOST_INTERFACE = ("closed", "terminat", "released")
"""What asyncpg's InterfaceError says of a connection that is gone; any other one is misuse, so a bug."""


def lost() -> SourceFault:
    """The fault of a connection that is gone without an error of its own."""
    return SourceFault(Reason.CONNECT_FAILED, "the connection to the database was lost")


def raised_for(error: BaseException) -> BaseException:
    """What to raise for ``error``: its fault, or itself where no database caused it."""
    return translate(error) or error


def translate(error: BaseException) -> SourceFault | None:
    """The fault behind ``error``, or None for what no database caused (a bug)."""
    if isinstance(error, SourceFault):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _answer(error)
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return SourceFault(Reason.READ_ONLY, "none of the hosts accepts writes")
    if isinstance(error, asyncpg.UnsupportedServerFeatureError):
        return SourceFault(
            Reason.UNSUPPORTED_SERVER, f"the server is no PostgreSQL that the relay knows: {_line(error)}"
        )
    if isinstance(error, asyncpg.InterfaceError):
        if any(words in str(error) for words in UNKNOWN_LOGIN):
            return SourceFault(Reason.AUTHENTICATION_FAILED, _line(error))
        return lost() if any(word in str(error) for word in LOST_INTERFACE) else None
    if isinstance(error, asyncpg.InternalClientError):
        # asyncpg says so when the server ended an idle connection and a statement follows before it noticed.
        return lost()
    return _way(error)


def _answer(error: asyncpg.PostgresError) -> SourceFault | None:
    """What the server answered; None where a statement or a value of ours is wrong."""
    state = str(error.sqlstate or "")
    # A function or a trigger of the database's own was running, for statements of ours have no context.
    inside = bool(getattr(error, "context", None))
    # asyncpg raises this class too, for a value that does not fit its parameter, without asking the server.
    ours = isinstance(error, asyncpg.DataError) and not getattr(error, "severity", None)
    if not inside and (ours or state in BUG_STATES):
        return None
    reason = _reason(state)
    if (inside and reason in SHAPE_REASONS) or isinstance(error, asyncpg.InvalidCachedStatementError):
        reason = Reason.DATABASE_ERROR
    if state.startswith(POOLED_STATES) and not inside:
        return SourceFault(reason, POOLED.format(_line(error)))
    said = "the connection to the database failed" if state.startswith(CONNECTION_STATES) else "PostgreSQL"
    return SourceFault(reason, f"{said}: {_line(error)}")


def _reason(state: str) -> Reason:
    if state.startswith(CONNECTION_STATES):
        return Reason.CONNECT_FAILED
    return next((reason for prefix, reason in STATES if state.startswith(prefix)), Reason.DATABASE_ERROR)


def _way(error: BaseException) -> SourceFault | None:
    """What happens on the way to the server."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return lost()
    if isinstance(error, ssl.SSLError):
        return SourceFault(Reason.TLS_FAILED, f"TLS with the database failed: {_tls(error)}")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return SourceFault(Reason.TIMEOUT, "the database did not answer in time")
    if isinstance(error, socket.gaierror):
        return SourceFault(Reason.CONNECT_FAILED, f"the database's host name does not resolve: {error.strerror}")
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return SourceFault(Reason.TLS_FAILED, "the server does not speak TLS (sslmode asks for it)")
    if isinstance(error, OSError):
        return SourceFault(Reason.CONNECT_FAILED, f"cannot reach the database: {_line(error)}")
    return None


def _tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return str(error.reason or _line(error)).replace("_", " ").lower()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
