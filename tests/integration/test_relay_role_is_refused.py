"""What the role of a relay may not do with the printed privileges, tried as that role while its relay delivers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.role_line import RoleLine, role_line

pytestmark = pytest.mark.needs_services

KINDS: dict[str, dict[str, Any]] = {
    "Delete": {},
    "Mark": {"source": {"table": {"afterDelivery": "Mark"}}},
    "Quarantine": {"poison": {"action": "Quarantine"}},
    "Archive": {"source": {"table": {"afterDelivery": "Archive"}}},
}
ROWS = 5

REFUSED = (
    # other tables, in the schema of the outbox, in another one, and what is new
    "SELECT * FROM shop.customers",
    "INSERT INTO shop.customers (name) VALUES ('x')",
    "DELETE FROM shop.customers",
    "SELECT * FROM shop.made_later",
    "SELECT * FROM vault.keys",
    "SELECT shop.secret_of('x')",
    # of the outbox itself
    "INSERT INTO shop.outbox (aggregate_id, event_type, payload) VALUES ('k', 'T', '{}')",
    "UPDATE shop.outbox SET payload = '{}'",
    "UPDATE shop.outbox SET aggregate_id = 'other'",
    "TRUNCATE shop.outbox",
    "ALTER TABLE shop.outbox ADD COLUMN mine text",
    "DROP TABLE shop.outbox",
    "CREATE TRIGGER mine AFTER INSERT ON shop.outbox FOR EACH STATEMENT EXECUTE FUNCTION outboxrelay.ring()",
    # of its own schema
    "DELETE FROM outboxrelay.quarantine",
    "UPDATE outboxrelay.quarantine SET state = 'Dropped'",
    "SELECT * FROM outboxrelay.quarantine_audit",
    "DELETE FROM outboxrelay.quarantine_audit",
    "UPDATE outboxrelay.schema_version SET version = 1",
    "DROP SCHEMA outboxrelay CASCADE",
    # of the database and the server
    "CREATE TABLE shop.mine ()",
    "CREATE TABLE outboxrelay.mine ()",
    "CREATE SCHEMA mine",
    "SELECT rolpassword FROM pg_authid",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE mine",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY shop.outbox TO PROGRAM 'cat'",
    (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename <> CURRENT_USER AND datname = current_database()"
    ),
)
REFUSED_BUT = {
    "Delete": ("SELECT internal FROM shop.outbox", "INSERT INTO outboxrelay.quarantine DEFAULT VALUES"),
    "Mark": ("DELETE FROM shop.outbox", "SELECT internal FROM shop.outbox"),
    "Archive": ("SELECT * FROM outboxrelay.archive", "DELETE FROM outboxrelay.archive"),
}
"""What one kind is refused while another needs it."""


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[RoleLine]:
    async with role_line(tmp_path) as made:
        yield made


async def others(database: asyncpg.Connection) -> None:
    """What of the service is nobody's business."""
    await database.execute(
        """
        CREATE TABLE shop.customers (name text);
        CREATE SCHEMA vault;
        CREATE TABLE vault.keys (key text);
        CREATE FUNCTION shop.secret_of(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT key FROM vault.keys';
        REVOKE ALL ON FUNCTION shop.secret_of FROM PUBLIC;
        ALTER TABLE shop.outbox ADD COLUMN internal text;
        """
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_the_role_of_a_relay_that_delivers_is_refused_everything_else(stand: RoleLine, kind: str) -> None:
    database = stand.line.database
    config = stand.config(**KINDS[kind])
    await stand.install(config, "all")
    await others(database)
    relay = stand.start(config)
    await asyncio.to_thread(relay.wait_ready)
    await database.execute("CREATE TABLE shop.made_later (name text)")
    session: Any = await asyncpg.connect(stand.uri)
    allowed = []
    try:
        for statement in (*REFUSED, *REFUSED_BUT.get(kind, ())):
            try:
                await session.execute(statement)
                allowed.append(statement)
            except asyncpg.InsufficientPrivilegeError:
                pass
    finally:
        await session.close()
    assert allowed == []
    await stand.insert(ROWS)
    pending = "shop.outbox WHERE delivered_at IS NULL" if kind == "Mark" else "shop.outbox"
    await stand.line.emptied(pending)
    report = await asyncio.to_thread(relay.wait, lambda found: found["delivery"]["rowsTotal"] >= ROWS, 20)
    assert report["limitations"] == []
    assert report["source"]["healthy"]


async def test_the_role_of_one_relay_may_not_touch_the_table_of_another(stand: RoleLine) -> None:
    database = stand.line.database
    await stand.install(stand.config(), "all")
    other = stand.config(source={"table": {"name": "bills"}})
    owner = f"{stand.role}_bills"
    await database.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'x'")
    try:
        await stand.install(other, "table", "grants", role=owner)
        session: Any = await asyncpg.connect(stand.uri)
        try:
            for statement in ("SELECT id FROM shop.bills", "DELETE FROM shop.bills"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await session.execute(statement)
            assert await session.fetch("SELECT id FROM shop.outbox") == []
        finally:
            await session.close()
    finally:
        await database.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}")
