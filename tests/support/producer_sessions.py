"""A session of each driver that a producer may have: what it does in one transaction, on the real thing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import django
import psycopg
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from outboxrelay import outbox

Runner = Callable[[str, Callable[[Any], Coroutine[Any, Any, Any]]], Coroutine[Any, Any, Any]]
SyncRunner = Callable[[str, Callable[[Any], Any]], Any]


async def by_asyncpg(uri: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async with asyncpg.create_pool(uri, min_size=1, max_size=1) as pool, pool.acquire() as conn, conn.transaction():
        return await body(conn)


async def by_psycopg(uri: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async with await psycopg.AsyncConnection.connect(uri) as conn, conn.transaction():
        return await body(conn)


async def by_sqlalchemy(uri: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    return await _sqlalchemy(uri, "psycopg", body)


async def by_sqlalchemy_on_asyncpg(uri: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    return await _sqlalchemy(uri, "asyncpg", body)


async def _sqlalchemy(uri: str, driver: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    engine = create_async_engine(sqlalchemy_uri(uri, driver))
    try:
        async with AsyncSession(engine) as session, session.begin():
            return await body(session)
    finally:
        await engine.dispose()


async def by_sqlalchemy_connection(uri: str, body: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    engine = create_async_engine(sqlalchemy_uri(uri, "asyncpg"))
    try:
        async with engine.begin() as conn:
            return await body(conn)
    finally:
        await engine.dispose()


def by_psycopg_sync(uri: str, body: Callable[[Any], Any]) -> Any:
    with psycopg.connect(uri) as conn:
        return body(conn)


def by_sqlalchemy_sync(uri: str, body: Callable[[Any], Any]) -> Any:
    engine = create_engine(sqlalchemy_uri(uri, "psycopg"))
    try:
        with Session(engine) as session, session.begin():
            return body(session)
    finally:
        engine.dispose()


def by_sqlalchemy_connection_sync(uri: str, body: Callable[[Any], Any]) -> Any:
    engine = create_engine(sqlalchemy_uri(uri, "psycopg"))
    try:
        with engine.begin() as conn:
            return body(conn)
    finally:
        engine.dispose()


def by_django(uri: str, body: Callable[[Any], Any]) -> Any:
    connection = django_connection(uri)
    from django.db.transaction import Atomic

    try:
        with Atomic("default", savepoint=True, durable=False):
            return body(connection)
    finally:
        connection.close()


def django_connection(uri: str) -> Any:
    """django.db.connection of a project that has nothing but this database."""
    from django.conf import settings
    from django.db import connection, connections

    found = urlsplit(uri)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": found.path.lstrip("/"),
        "USER": found.username,
        "PASSWORD": found.password,
        "HOST": found.hostname,
        "PORT": found.port,
    }
    if not settings.configured:
        settings.configure(DATABASES={"default": database})
        django.setup()
    connection.close()
    connections["default"].settings_dict.update(database)
    return connection


def sqlalchemy_uri(uri: str, driver: str) -> str:
    """The same database; what asyncpg does not know after the question mark is left out."""
    return uri.partition("?")[0].replace("postgresql://", f"postgresql+{driver}://")


ASYNC: dict[str, Runner] = {
    "asyncpg": by_asyncpg,
    "psycopg, async": by_psycopg,
    "SQLAlchemy, async, on psycopg": by_sqlalchemy,
    "SQLAlchemy, async, on asyncpg": by_sqlalchemy_on_asyncpg,
    "SQLAlchemy, AsyncConnection": by_sqlalchemy_connection,
}
SYNC: dict[str, SyncRunner] = {
    "psycopg": by_psycopg_sync,
    "SQLAlchemy": by_sqlalchemy_sync,
    "SQLAlchemy, Connection": by_sqlalchemy_connection_sync,
    "Django": by_django,
}
DRIVERS = (*ASYNC, *SYNC)


async def publish_by(driver: str, uri: str, *arguments: Any, fail: bool = False, **options: Any) -> str:
    """One event in a transaction of its own, which is rolled back where ``fail``; the event's id."""
    if driver in ASYNC:

        async def body(conn: Any) -> str:
            found = await outbox.publish(conn, *arguments, **options)
            if fail:
                raise RuntimeError("rolled back")
            return found

        return str(await ASYNC[driver](uri, body))

    def body_sync(conn: Any) -> str:
        found = outbox.publish_sync(conn, *arguments, **options)
        if fail:
            raise RuntimeError("rolled back")
        return found

    # Django refuses to work where an event loop runs.
    return str(await asyncio.to_thread(SYNC[driver], uri, body_sync))
