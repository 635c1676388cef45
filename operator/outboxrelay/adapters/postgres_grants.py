"""The privileges that one relay's role needs, and not one more: what its statements touch, as its spec asks for them.

tests/integration/test_schema_and_privileges.py runs a relay with these and nothing else, and takes each one away.
"""

from outboxrelay.adapters.postgres_statements import literal, quoted
from outboxrelay.adapters.postgres_table import reading_of, used_columns
from outboxrelay.adapters.postgres_texts import shown, tag_beside
from outboxrelay.api.spec import OutboxRelaySpec

CONNECT = """DO ${tag}$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {role});
END
${tag}$;
"""


def grants(spec: OutboxRelaySpec, role: str) -> str:
    """GRANT statements, each with why it is needed, in one transaction."""
    to, constant = quoted(role), literal(role)
    lines = [
        f"-- What role {shown(role)} needs to run this relay, and nothing more. The role must be there:",
        f"--   CREATE ROLE {shown(to)} LOGIN PASSWORD '...';",
        "-- Grants on schema outboxrelay are for what is remembered of rows that cannot be sent; without that schema",
        "-- leave them out, and the relay delivers all the same.",
        "BEGIN;",
        CONNECT.format(tag=tag_beside(constant), role=constant).rstrip(),
    ]
    for statement, reason in (*outbox_grants(spec), *schema_grants(spec)):
        lines += [f"-- {reason}", f"GRANT {statement} TO {to};"]
    lines += [
        "-- Not needed: with it the relay names user and application of a transaction that is open for long, not only",
        f"-- its process id: GRANT pg_read_all_stats TO {shown(to)};",
    ]
    return "\n".join([*lines, "COMMIT;", ""])


def outbox_grants(spec: OutboxRelaySpec) -> list[tuple[str, str]]:
    """What is needed on the outbox table, as (privilege ON object, why)."""
    table, columns = spec.source.table, spec.source.table.layout
    place = f"{quoted(table.schema_)}.{quoted(table.name)}"
    found = [(f"USAGE ON SCHEMA {quoted(table.schema_)}", "Names in the schema of the outbox table.")]
    if moves_whole_rows(spec):
        found.append((f"SELECT ON {place}", "Rows are moved whole, with every column they have."))
    else:
        names = ", ".join(quoted(name) for name in selected_columns(spec))
        found.append((f"SELECT ({names}) ON {place}", "The columns that are read."))
    if table.after_delivery == "Mark":
        found.append((f"UPDATE ({quoted(columns.delivered_at)}) ON {place}", "Delivered rows are marked."))
    elif spec.ordering.mode == "None":
        reason = "FOR UPDATE SKIP LOCKED needs some UPDATE; the relay updates nothing."
        found.append((f"UPDATE ({quoted(columns.id)}) ON {place}", reason))
    if reason := _why_delete(spec):
        found.append((f"DELETE ON {place}", reason))
    return found


def schema_grants(spec: OutboxRelaySpec) -> list[tuple[str, str]]:
    """What is needed on schema outboxrelay, as (privilege ON object, why)."""
    quarantine = "SELECT, INSERT" if spec.poison.action != "HoldKey" else "SELECT"
    found = [
        ("USAGE ON SCHEMA outboxrelay", "Names in schema outboxrelay."),
        ("SELECT, INSERT, UPDATE, DELETE ON outboxrelay.attempts", "Attempts to send rows that failed before."),
        (f"{quarantine} ON outboxrelay.quarantine", "Rows that are moved aside, and how many there are."),
        ("SELECT, INSERT, DELETE ON outboxrelay.member", "Who runs, so that a process that a row ended is noticed."),
    ]
    if spec.source.table.after_delivery == "Archive":
        found += [
            ("INSERT ON outboxrelay.archive", "Delivered rows move there; the relay cannot read them."),
            ("EXECUTE ON FUNCTION outboxrelay.rotate_archive(text, text, interval)", "Partitions come and go."),
        ]
    return found


def moves_whole_rows(spec: OutboxRelaySpec) -> bool:
    """Whether rows are copied with every column, also those that no spec names."""
    return spec.source.table.after_delivery == "Archive" or spec.poison.action != "HoldKey"


def selected_columns(spec: OutboxRelaySpec) -> list[str]:
    """The columns that the relay's statements name, system columns included, each once."""
    reading, columns = reading_of(spec), spec.source.table.layout
    names = [name for name, _ in used_columns(reading).values()]
    if reading.settled:
        names.append("xmin")
    if columns.event_id == columns.id and not columns.created_at:
        # A uuid without a time: ordered by what the server itself knows of the row.
        names += ["xmin", "ctid"]
    return list(dict.fromkeys(names))


def _why_delete(spec: OutboxRelaySpec) -> str:
    table = spec.source.table
    if table.after_delivery != "Mark":
        return "Delivered rows go."
    if table.retention_seconds is not None:
        return "Marked rows go when retentionSeconds are over."
    return "Rows are moved to quarantine." if spec.poison.action != "HoldKey" else ""
