"""Tables full of rows that wait, as services leave them: many small transactions, none of them large."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.benchmarks import servers
from tests.benchmarks.floor import DDL, FILL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = "outbox_drain"
CREATE = DDL.replace("outbox_floor", TABLE)
_FILL = FILL.replace("outbox_floor", TABLE)
_FILL_PART = _FILL.replace("generate_series(1, $1::int)", "generate_series($1::int, $2::int)")
PART = 1000
INSERT = f"""
INSERT INTO {TABLE} (aggregate_type, aggregate_id, event_type, payload)
SELECT 'order', 'o-' || (i % 10000), 'OrderPlaced', jsonb_build_object('order_id', i)
FROM generate_series(1, $1::int) i
"""
"""As many rows as it is told, in one statement."""


@asynccontextmanager
async def empty_table() -> AsyncIterator[tuple[str, Any]]:
    """A database with the table, as its URI and a session; both go with the block."""
    async with servers.database() as uri:
        session: Any = await asyncpg.connect(uri)
        try:
            await session.execute(CREATE)
            yield uri, session
        finally:
            await session.close()


async def fill(session: Any, rows: int, part: int = PART) -> None:
    """Commit ``rows`` rows of about 300 bytes, ``part`` in a transaction, and make the server idle again."""
    await session.execute("SET synchronous_commit = off")
    for start in range(1, rows + 1, part):
        await session.execute(_FILL_PART, start, min(rows, start + part - 1))
    await session.execute("RESET synchronous_commit")
    await settle_down(session)


async def settle_down(session: Any) -> None:
    """Vacuum and write out what would otherwise be done during the measurement."""
    await session.execute(f"VACUUM ANALYZE {TABLE}")
    await session.execute("CHECKPOINT")
