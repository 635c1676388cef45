"""spec.source: the PostgreSQL database, the outbox table in it, and how it is read."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from outboxrelay.api.layout import Layout, Preset, layout_of
from outboxrelay.api.model import ApiModel
from outboxrelay.api.references import CertificateReference, SecretKeyReference, UserPasswordReference
from outboxrelay.api.validation import Rule, check_rules, rules

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]+$")]
"""A PostgreSQL identifier, taken literally (no case folding, quoted in every statement)."""
OptionalIdentifier = Annotated[str, StringConstraints(max_length=63, pattern=r"^[^\x00]*$")]
HostName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")]

DATABASE_RULES = (
    Rule("has(self.uriSecretRef) != has(self.host)", "set exactly one of uriSecretRef or host"),
    Rule(
        "!has(self.host) || (has(self.name) && has(self.credentialsSecretRef))",
        "host needs name and credentialsSecretRef beside it",
    ),
    Rule(
        "has(self.host) || (!has(self.name) && !has(self.credentialsSecretRef))",
        "name and credentialsSecretRef belong to host; with uriSecretRef the URI says both",
    ),
)


class DirectAddress(ApiModel):
    """The server itself, where the address of the database is a transaction pooler's."""

    host: HostName
    """Host name or address of the server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """TCP port of the server."""
    name: Identifier | None = None
    """Name of the database there, where the pooler calls it otherwise."""


class Database(ApiModel):
    """Where the outbox table lives: either a URI in a Secret, or host, name and credentials."""

    model_config = ConfigDict(json_schema_extra=rules(*DATABASE_RULES))

    uri_secret_ref: SecretKeyReference | None = None
    """Secret key that holds a libpq URI: postgresql://user:password@host:5432/database?sslmode=verify-full."""
    host: HostName | None = None
    """Host name or address of the server, instead of uriSecretRef."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """TCP port of the server; used with host."""
    name: Identifier | None = None
    """Name of the database; used with host."""
    credentials_secret_ref: UserPasswordReference | None = None
    """Secret with the user name and the password; used with host."""
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    """How the server's TLS certificate is checked. A sslmode in the URI takes precedence."""
    ca_secret_ref: SecretKeyReference | None = None
    """Secret key that holds the PEM certificates to trust, instead of the system's."""
    client_certificate_secret_ref: CertificateReference | None = None
    """Secret with the certificate and the private key by which the relay proves to the server who it is."""
    direct: DirectAddress | None = None
    """Where the relay's control session connects when the database's address is a pooler in transaction mode: its
    locks need a session. User, password and TLS are those of the database. Default: the database's own address."""
    connect_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 3
    """Seconds after which an attempt to connect is given up."""
    statement_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    """Seconds after which a statement of the relay is given up."""

    @property
    def secret_references(self) -> tuple[SecretKeyReference, ...]:
        """Every key of a Secret that is needed to log in."""
        login, proof = self.credentials_secret_ref, self.client_certificate_secret_ref
        found = (
            self.uri_secret_ref,
            self.ca_secret_ref,
            *((login.username, login.password) if login else ()),
            *((proof.certificate, proof.private_key) if proof else ()),
        )
        return tuple(reference for reference in found if reference is not None)

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        has_uri, has_host = self.uri_secret_ref is not None, self.host is not None
        both = self.name is not None and self.credentials_secret_ref is not None
        neither = self.name is None and self.credentials_secret_ref is None
        return check_rules(
            (DATABASE_RULES[0], has_uri != has_host),
            (DATABASE_RULES[1], not has_host or both),
            (DATABASE_RULES[2], has_host or neither),
        )


class Columns(ApiModel):
    """Which column holds what. A name is taken literally; "" says that the table has no such column."""

    id: Identifier | None = None
    """Unique, ascending: the order of delivery within a key. An integer column, or one of type uuid, whose rows are
    ordered by createdAt as well as that goes. Default: id."""
    event_id: OptionalIdentifier | None = None
    """Column with the event's unique id, sent as header `id`. "" = the row's id serves as event id.
    Default: event_id."""
    key: OptionalIdentifier | None = None
    """Column with the ordering key, sent as the Kafka key. "" = rows have no key and no order among them.
    Default: aggregate_id."""
    type: OptionalIdentifier | None = None
    """Column with the event's type, sent as header `type`. "" = no such header. Default: event_type."""
    payload: Identifier | None = None
    """Column with the Kafka value: jsonb, json, text or bytea, sent byte by byte as the column prints it.
    Default: payload."""
    headers: OptionalIdentifier | None = None
    """Column (json or jsonb) with one object whose members become Kafka headers. Default: none."""
    created_at: OptionalIdentifier | None = None
    """Column (timestamp) with the event's time: the Kafka timestamp, and what lag is measured by.
    "" = none: Kafka's timestamp is the time of sending, and lag is not known. Default: created_at."""
    delivered_at: Identifier | None = None
    """Column (timestamp) that is set when a row is delivered; used with afterDelivery: Mark. Default: delivered_at."""
    partition: OptionalIdentifier | None = None
    """Column (integer) with the number of the Kafka partition; NULL leaves it to the key. Default: none."""
    traceparent: OptionalIdentifier | None = None
    """Column with the W3C trace context of the event, sent as header `traceparent`. Default: none."""


TABLE_RULES = (
    Rule(
        "!has(self.retentionSeconds) || self.afterDelivery != 'Delete'",
        "retentionSeconds needs afterDelivery Mark or Archive: what is deleted cannot be kept",
    ),
)


class Table(ApiModel):
    """The outbox table. A row that is present (and, with Mark, not marked) is pending."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *TABLE_RULES,
            Rule(
                "self.schema == oldSelf.schema && self.name == oldSelf.name",
                "the table is immutable; create a new OutboxRelay for another table",
            ),
        )
    )

    schema_: Annotated[Identifier, Field(alias="schema")] = "public"
    """Schema of the table."""
    name: Identifier
    """Name of the table."""
    preset: Preset = "Native"
    """What columns are called where `columns` does not say it. Debezium: as its outbox event router expects them, with
    topics outbox.event.<aggregatetype> unless target names another."""
    columns: Columns = Columns()
    """Which column holds what."""
    after_delivery: Literal["Delete", "Mark", "Archive"] = "Delete"
    """What happens to a row once Kafka has confirmed it: Delete it, Mark it by setting columns.deliveredAt, or Archive
    it: move it, whole, to outboxrelay.archive, which is partitioned by day."""
    retention_seconds: Annotated[int, Field(ge=60, le=315_360_000)] | None = None
    """Seconds for which marked or archived rows are kept. Default: marked rows are kept for good, archived ones for
    30 days."""

    @property
    def layout(self) -> Layout:
        """The name of every column."""
        return layout_of(self.preset, self.columns.model_dump())

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules((TABLE_RULES[0], self.retention_seconds is None or self.after_delivery != "Delete"))

    @property
    def qualified_name(self) -> str:
        """schema.name, as people write it in messages (not for SQL)."""
        return f"{self.schema_}.{self.name}"


READ_RULES = (
    Rule(
        "self.minPollMilliseconds <= self.maxPollMilliseconds",
        "minPollMilliseconds must not exceed maxPollMilliseconds",
    ),
)


class Read(ApiModel):
    """How often and how much is read."""

    model_config = ConfigDict(json_schema_extra=rules(*READ_RULES))

    batch_size: Annotated[int, Field(ge=1, le=10000)] = 5000
    """Most rows of one read; fewer are read while rows are large."""
    visibility: Literal["Committed", "Settled"] = "Committed"
    """Committed reads every committed row. Settled waits with a row until no transaction is open that began to write
    before it: row ids then are in commit order even where writers of one key do not lock its aggregate first."""
    min_poll_milliseconds: Annotated[int, Field(ge=1, le=60000)] = 20
    """Milliseconds between reads right after rows were found."""
    max_poll_milliseconds: Annotated[int, Field(ge=10, le=60000)] = 1000
    """Milliseconds between reads of a table that has been empty for a while."""

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        return check_rules((READ_RULES[0], self.min_poll_milliseconds <= self.max_poll_milliseconds))


class Source(ApiModel):
    """Where events come from."""

    database: Database
    """The PostgreSQL server and how to log in."""
    table: Table
    """The outbox table."""
    read: Read = Read()
    """How often and how much is read."""
