"""outboxrelay deliver: one row into an outbox table, and whether a relay takes it to Kafka. `helm test` can run it."""

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outboxrelay.cli import cli
from outboxrelay.cli.database import URI_VARIABLE, on_database
from outboxrelay.cli.options import Seconds
from outboxrelay.cli.options import output as output_option
from outboxrelay.cli.sql import table_names
from outboxrelay.errors import CannotRun

if TYPE_CHECKING:
    import asyncpg

PAUSE_SECONDS = 0.2
PAYLOAD = json.dumps({"sentBy": "outboxrelay deliver"})
EPILOG = """\b
Examples:
  outboxrelay deliver --table shop.outbox --uri-file uri
  outboxrelay deliver --table outbox --timeout 30 -o json
"""


@cli.command("deliver", short_help="Insert one row, and wait until a relay has delivered it.", epilog=EPILOG)
@click.option("--table", metavar="NAME", required=True, help="Outbox table as [schema.]name.")
@click.option("--key", default="outboxrelay-test", show_default=True, help="Key of the event.")
@click.option("--type", "kind", default="outboxrelay.test", show_default=True, help="Type of the event.")
@click.option("--timeout", type=Seconds(1, 3600), default=60.0, show_default=True, help="How long to wait.")
@click.option(
    "--uri-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"File with the database's URI. Default: {URI_VARIABLE}.",
)
@output_option("text", "json")
def deliver(table: str, key: str, kind: str, timeout: float, uri_file: Path | None, output: str) -> None:
    """Insert one row into an outbox table, and wait until a relay has delivered it.

    A relay deletes a row when Kafka has confirmed it, so a row that is gone was delivered. It is a real event: name a
    table that is there for it. The table has the columns that `outboxrelay sql --part table` prints, and its relay the
    default afterDelivery (Delete); the login needs INSERT and SELECT.
    """
    schema, name = table_names(table)
    row, seconds = on_database(
        uri_file, lambda connection: _deliver(connection, schema, name, (key, kind), timeout), command="deliver"
    )
    if output == "json":
        click.echo(json.dumps({"table": f"{schema}.{name}", "id": row, "seconds": round(seconds, 3)}))
    else:
        click.echo(f"row {row} of {schema}.{name} was delivered within {seconds:.1f} s")


async def _deliver(
    connection: "asyncpg.Connection", schema: str, name: str, event: tuple[str, str], timeout: float
) -> tuple[int, float]:
    """The row's id, and seconds until it was gone; raises CannotRun where it could not be inserted, or stays."""
    import asyncpg

    from outboxrelay.adapters.postgres_statements import quoted

    table = f"{quoted(schema)}.{quoted(name)}"
    insert = f"INSERT INTO {table} (aggregate_id, event_type, payload) VALUES ($1, $2, $3) RETURNING id"  # noqa: S608
    try:
        row: int = await connection.fetchval(insert, *event, PAYLOAD)
        began = time.monotonic()
        while await connection.fetchval(f"SELECT true FROM {table} WHERE id = $1", row):  # noqa: S608
            if time.monotonic() - began > timeout:
                raise CannotRun(
                    f"row {row} of {schema}.{name} was not delivered within {timeout:g} s and is left there; see "
                    "`kubectl get outboxrelays -A` for its relay"
                )
            await asyncio.sleep(PAUSE_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotRun(
            f"{schema}.{name}: {error}; it must have the columns that `outboxrelay sql --part table` prints, and the "
            "login INSERT and SELECT on it"
        ) from None
    return row, time.monotonic() - began
