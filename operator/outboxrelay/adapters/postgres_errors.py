"""What the database and the way to it can answer, as one SourceFault with a reason. The only place that decides it.

Messages are the server's own or the operating system's; neither holds a URI or a password.
"""

import asyncio
import socket
import ssl

import asyncpg

from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault

STATES: tuple[tuple[str, Reason], ...] = (
    ("28", Reason.AUTHENTICATION_FAILED),
    ("53300", Reason.TOO_MANY_CONNECTIONS),
    ("25006", Reason.READ_ONLY),
    ("42501", Reason.PERMISSION_DENIED),
    ("42P01", Reason.TABLE_NOT_FOUND),
    ("3F000", Reason.TABLE_NOT_FOUND),
    ("57014", Reason.TIMEOUT),
    ("55P03", Reason.TIMEOUT),
    ("40", Reason.TIMEOUT),
    ("42", Reason.SCHEMA_MISMATCH),
    ("22", Reason.SCHEMA_MISMATCH),
)
"""SQLSTATE prefixes, the first that fits decides; any other is DatabaseError (a full disk, a trigger that raises)."""

CONNECTION_STATES = ("08", "57P", "3D")
"""SQLSTATE prefixes of a connection that was refused or ended; asyncpg itself uses 08 when it breaks."""

CLIENT_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Everything that asyncpg raises; what of it is a fault, ``translate`` says."""

LOST_INTERFACE = ("closed", "terminat", "released")
"""What asyncpg's InterfaceError says of a connection that is gone; any other one is misuse, so a bug."""


def translate(error: BaseException) -> SourceFault | None:
    """The fault behind ``error``, or None for what no database caused (a bug)."""
    if isinstance(error, SourceFault):
        return error
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        said = "the connection to the database failed" if state.startswith(CONNECTION_STATES) else "PostgreSQL"
        return SourceFault(_reason(state), f"{said}: {_line(error)}")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return SourceFault(Reason.READ_ONLY, "none of the hosts accepts writes")
    if isinstance(error, asyncpg.InterfaceError):
        lost = any(word in str(error) for word in LOST_INTERFACE)
        return SourceFault(Reason.CONNECT_FAILED, "the connection to the database was lost") if lost else None
    if isinstance(error, asyncpg.InternalClientError):
        # asyncpg says so when the server ended an idle connection and a statement follows before it noticed.
        return SourceFault(Reason.CONNECT_FAILED, "the connection to the database was lost")
    return _way(error)


def _reason(state: str) -> Reason:
    if state.startswith(CONNECTION_STATES):
        return Reason.CONNECT_FAILED
    return next((reason for prefix, reason in STATES if state.startswith(prefix)), Reason.DATABASE_ERROR)


def _way(error: BaseException) -> SourceFault | None:
    """What happens on the way to the server."""
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
