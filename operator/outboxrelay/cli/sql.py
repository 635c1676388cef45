"""outboxrelay sql: prints what a database administrator runs for a relay. It connects to nothing."""

import json
import re
from pathlib import Path
from typing import Final

import click

from outboxrelay.api.source import Table
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.cli import cli
from outboxrelay.cli.options import output as output_option
from outboxrelay.errors import InvalidInput

PARTS: Final = ("schema", "archive", "table", "publish", "autovacuum", "doorbell", "inbox", "grants")
"""adapters.postgres_schema has the same; it is imported late."""
LONGEST_NAME = 63
NAME = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".]+))\s*')

EPILOG = """\b
Examples:
  outboxrelay sql | psql "$URI"
      schema outboxrelay, for what the relay remembers
  outboxrelay sql --config relay.yaml --role orders_relay | psql "$URI"
      the schema and the privileges that this relay needs, and not one more
  outboxrelay sql --config relay.yaml --part table --part doorbell
      a good outbox table, and the trigger that wakes the relay
  outboxrelay sql --config relay.yaml --part publish | psql "$URI"
      the function by which producers of any language write an event
  outboxrelay sql --part inbox | psql "$CONSUMER_URI"
      for a consumer's database: what it has processed
  outboxrelay sql --table shop.outbox --part all --role orders_relay -o json
"""


@cli.command("sql", short_help="Print what a database administrator runs.", epilog=EPILOG)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="OutboxRelay manifest: table, columns and privileges are exactly those that it needs.",
)
@click.option(
    "--table",
    metavar="NAME",
    help="Outbox table as [schema.]name, with everything else by default; instead of --config.",
)
@click.option("--role", metavar="NAME", help="Role of the relay: prints its GRANTs too.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice([*PARTS, "all"]),
    help="What to print; may be repeated; all has no inbox.  "
    "[default: schema, with archive and grants where they are needed]",
)
@output_option("sql", "json")
def sql(config: Path | None, table: str | None, role: str | None, parts: tuple[str, ...], output: str) -> None:
    """Print SQL for psql: the relay's tables, an outbox table, what producers and consumers call, and GRANTs.

    Everything may be run again, and changes nothing then. Names are taken literally: orders and Orders differ.
    """
    if config and table:
        raise InvalidInput("--config and --table: give one of them; the manifest names its table")
    spec = _spec(config, table)
    wanted = _wanted(parts, spec, role)
    named = {"table", "publish", "autovacuum", "doorbell", "grants"}.intersection(wanted)
    if spec is None and named:
        part = next(part for part in wanted if part in named)
        raise InvalidInput(f"part {part} is about one table: say which with --config relay.yaml or --table schema.name")
    if role is not None:
        _check_role(role)
    # Imported late: most of these modules belong to the relay.
    from outboxrelay.adapters.postgres_schema import script

    scripts = [script(part, spec or _default("outbox"), role) for part in PARTS if part in wanted]
    if output == "json":
        click.echo(json.dumps([{"part": item.part, "sql": item.sql} for item in scripts], indent=2))
    else:
        click.echo("\n".join(item.sql for item in scripts), nl=False)


def _spec(config: Path | None, table: str | None) -> OutboxRelaySpec | None:
    if config:
        from outboxrelay.cli.relay import load_manifest

        return load_manifest(config).spec
    return _default(table) if table else None


def _wanted(parts: tuple[str, ...], spec: OutboxRelaySpec | None, role: str | None) -> list[str]:
    """The parts to print, in no order."""
    archive = spec is not None and spec.source.table.after_delivery == "Archive"
    if "grants" in parts and role is None:
        raise InvalidInput("--part grants: say for whom with --role NAME")
    if "all" in parts:
        # The inbox is for a database of consumers.
        left_out = {"inbox", *(() if role else ("grants",)), *(("archive",) if spec and not archive else ())}
        return [part for part in PARTS if part not in left_out]
    if parts:
        return [*parts, *(["grants"] if role and "grants" not in parts else [])]
    return ["schema", *(["archive"] if archive else []), *(["grants"] if role else [])]


def _default(table: str) -> OutboxRelaySpec:
    """The spec of a relay of ``table`` that says nothing else."""
    schema, name = table_names(table)
    source = {
        "database": {"uriSecretRef": {"name": "database", "key": "uri"}},
        "table": {"schema": schema, "name": name},
    }
    target = {"bootstrapServers": ["kafka:9092"], "topic": "events"}
    return OutboxRelaySpec.model_validate({"source": source, "target": target})


def table_names(text: str) -> tuple[str, str]:
    """Schema and name; raises InvalidInput that says how to write them."""
    found: list[str] = []
    rest = text
    while match := NAME.match(rest):
        found.append((match[1] or "").replace('""', '"') or (match[2] or "").strip())
        rest = rest[match.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:]
    complete = not rest and not text.rstrip().endswith(".")
    if not complete or len(found) not in (1, 2) or not all(map(_fits, found)):
        raise InvalidInput(
            f'--table {text[:80]!r}: write name or schema.name, a name with a dot in it as "my.name", '
            f"each of 1 to {LONGEST_NAME} bytes"
        )
    return (found[0], found[1]) if len(found) == 2 else (str(Table.model_fields["schema_"].default), found[0])


def _check_role(role: str) -> None:
    if not _fits(role):
        raise InvalidInput(f"--role {role[:80]!r}: a role's name has 1 to {LONGEST_NAME} bytes")
    if role == "public" or role.startswith("pg_"):
        raise InvalidInput(f"--role {role}: PostgreSQL reserves that name; name the relay's own role")


def _fits(name: str) -> bool:
    return 0 < len(name.encode(errors="replace")) <= LONGEST_NAME and "\0" not in name
