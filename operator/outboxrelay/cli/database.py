"""One connection for a command: where its URI is, and what a database that cannot be used means for the user."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from outboxrelay.api.names import Reason
from outboxrelay.errors import CannotRun, Fault, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from outboxrelay.adapters.postgres_quarantine import Quarantine

T = TypeVar("T")

URI_VARIABLE = "OUTBOXRELAY_DATABASE_URI"
STATEMENT_SECONDS = 30.0
HINTS = {
    Reason.CONNECT_FAILED: "check host, port and database in {place}, and that the server runs",
    Reason.TIMEOUT: "check host and port in {place}, and that the server runs",
    Reason.AUTHENTICATION_FAILED: "check user and password in {place}",
    Reason.TLS_FAILED: "check sslmode in {place}",
    Reason.READ_ONLY: "name the server that accepts writes in {place}",
    Reason.PERMISSION_DENIED: "log in as the owner of schema outboxrelay, or let it grant what is missing",
    Reason.TABLE_NOT_FOUND: "schema outboxrelay is not in this database: run what `outboxrelay sql` prints",
}


def on_quarantine(uri_file: Path | None, work: "Callable[[Quarantine], Awaitable[T]]") -> T:
    """The same as on_database, for what is done in quarantine."""
    from outboxrelay.adapters.postgres_quarantine import Quarantine

    return on_database(uri_file, lambda connection: work(Quarantine(connection)), command="quarantine")


def on_database(uri_file: Path | None, work: "Callable[[asyncpg.Connection], Awaitable[T]]", *, command: str) -> T:
    """What ``work`` returns; raises InvalidInput for a URI that is none, CannotRun with what the database said.

    The server knows the session as "outboxrelay ``command``".
    """
    import asyncpg

    from outboxrelay.adapters.postgres_connect import ConnectSettings, connect
    from outboxrelay.adapters.postgres_errors import CLIENT_ERRORS, translate
    from outboxrelay.adapters.postgres_uri import parse_uri

    text, place = _uri(uri_file)
    try:
        uri = parse_uri(text, place)
    except Fault as fault:
        raise InvalidInput(fault.message) from None

    async def run() -> T:
        settings = ConnectSettings(
            uri.hosts,
            uri.user,
            uri.password,
            uri.database,
            uri.ssl_mode or "verify-full",
            None,
            uri.connect_timeout or 5.0,
        )
        connection = await connect(
            settings, application_name=f"outboxrelay {command}", statement_timeout=STATEMENT_SECONDS
        )
        try:
            return await work(connection)
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except Fault as fault:
        raise _failed(fault, place) from None
    except asyncpg.InvalidTextRepresentationError as error:
        raise InvalidInput(f"{error}; give it as the table's id column holds it") from None
    except CLIENT_ERRORS as error:
        found = translate(error)
        if found is None:
            raise
        raise _failed(found, place) from None


def _failed(fault: Fault, place: str) -> CannotRun:
    hint = HINTS.get(Reason(fault.reason), "")
    return CannotRun(fault.message + (f"; {hint.format(place=place)}" if hint else ""))


def _uri(uri_file: Path | None) -> tuple[str, str]:
    if uri_file is not None:
        try:
            return uri_file.read_text(encoding="utf-8").strip(), f"--uri-file {uri_file}"
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"--uri-file {uri_file}: {getattr(error, 'strerror', None) or 'not text'}; it holds the database's URI"
            ) from None
    text = os.environ.get(URI_VARIABLE)
    if not text:
        raise InvalidInput(f"which database? Name a file with its URI by --uri-file, or set {URI_VARIABLE}")
    return text, URI_VARIABLE
