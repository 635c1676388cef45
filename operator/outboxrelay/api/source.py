"""spec.source: the PostgreSQL database, the outbox table in it, and how it is read."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from outboxrelay.api.model import ApiModel
from outboxrelay.api.references import SecretKeyReference, UserPasswordReference
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
    connect_timeout_seconds: Annotated[int, Field(ge=1, le=30)] = 3
    """Seconds after which an attempt to connect is given up."""
    statement_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    """Seconds after which a statement of the relay is given up."""

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

    id: Identifier = "id"
    """Integer column, unique and ascending: the order of delivery within a key."""
    event_id: OptionalIdentifier = "event_id"
    """Column with the event's unique id, sent as header `id`. "" = the row's id serves as event id."""
    key: OptionalIdentifier = "aggregate_id"
    """Column with the ordering key, sent as the Kafka key. "" = rows have no key and no order among them."""
    type: OptionalIdentifier = "event_type"
    """Column with the event's type, sent as header `type`. "" = no such header."""
    payload: Identifier = "payload"
    """Column with the Kafka value: jsonb, json, text or bytea, sent byte by byte as the column prints it."""
    headers: OptionalIdentifier = ""
    """Column (json or jsonb) with one object whose members become Kafka headers. "" = none."""
    created_at: OptionalIdentifier = "created_at"
    """Column (timestamp) with the event's time: the Kafka timestamp, and what lag is measured by.
    "" = none: Kafka's timestamp is the time of sending, and lag is not known."""
    delivered_at: Identifier = "delivered_at"
    """Column (timestamp) that is set when a row is delivered; used with afterDelivery: Mark."""


class Table(ApiModel):
    """The outbox table. A row that is present (and, with Mark, not marked) is pending."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.schema == oldSelf.schema && self.name == oldSelf.name",
                "the table is immutable; create a new OutboxRelay for another table",
            )
        )
    )

    schema_: Annotated[Identifier, Field(alias="schema")] = "public"
    """Schema of the table."""
    name: Identifier
    """Name of the table."""
    columns: Columns = Columns()
    """Which column holds what."""
    after_delivery: Literal["Delete", "Mark"] = "Delete"
    """What happens to a row once Kafka has confirmed it: Delete it, or Mark it by setting columns.deliveredAt."""

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
