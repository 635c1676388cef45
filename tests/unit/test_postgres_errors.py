"""Whatever ends a connection is told as the database's doing, not as a bare sentence of the client."""

import asyncpg
import pytest

from outboxrelay.adapters.postgres_errors import translate
from outboxrelay.api.names import Reason


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_ends_names_the_database(error: Exception) -> None:
    fault = translate(error)
    assert fault is not None
    assert fault.reason == Reason.CONNECT_FAILED
    assert "the database" in fault.message


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError('relation "outbox" does not exist'),
        asyncpg.DiskFullError("could not extend file: No space left on device"),
        asyncpg.RaiseError("a trigger says no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_statement_ran_into_is_told_in_the_servers_words_and_not_blamed_on_the_connection(
    error: Exception,
) -> None:
    fault = translate(error)
    assert fault is not None
    assert fault.message == f"PostgreSQL: {error}"
