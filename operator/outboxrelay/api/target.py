"""spec.target: the Kafka cluster and the topic."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from outboxrelay.api.model import ApiModel
from outboxrelay.api.references import CertificateReference, SecretKeyReference, UserPasswordReference
from outboxrelay.api.validation import Rule, check_rules, rules

BootstrapServer = Annotated[
    str,
    StringConstraints(min_length=3, max_length=260, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"),
]
TopicName = Annotated[str, StringConstraints(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]

TopicTemplate = Annotated[
    str,
    StringConstraints(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]*(\{[^{}]{1,63}\}[A-Za-z0-9._-]*)+$"),
]
TopicPattern = Annotated[str, StringConstraints(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._*-]+$")]
HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]+$")]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^https?://[^\s\x00-\x1f]+$")]


class HeaderColumn(ApiModel):
    """One Kafka header from one column."""

    name: HeaderName
    """Name of the header."""
    column: ColumnName
    """Column with its value, sent as the column prints it; no header where it is NULL."""


class CloudEvents(ApiModel):
    """CloudEvents 1.0, Kafka binding, binary mode: attributes as headers `ce_…`, the payload as the value."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[!-~]+$")]
    """Attribute `source`: a URI reference that says where the events come from, for example /shop/orders."""
    data_content_type: Annotated[str, StringConstraints(min_length=3, max_length=200, pattern=r"^[ -~]+$")] = (
        "application/json"
    )
    """Attribute `datacontenttype`, sent as header `content-type`."""


class OAuth(ApiModel):
    """OAuth 2.0 client credentials for SASL OAUTHBEARER; client id and secret are in credentialsSecretRef."""

    token_endpoint_url: Url
    """URL that gives tokens."""
    scope: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Scope to ask for."""


TARGET_RULES = (
    Rule(
        "self.protocol.startsWith('SASL') == (has(self.saslMechanism) && has(self.credentialsSecretRef))",
        "SASL_SSL and SASL_PLAINTEXT need saslMechanism and credentialsSecretRef; the other protocols take neither",
    ),
    Rule(
        "self.protocol.startsWith('SASL') || (!has(self.saslMechanism) && !has(self.credentialsSecretRef))",
        "saslMechanism and credentialsSecretRef need protocol SASL_SSL or SASL_PLAINTEXT",
    ),
    Rule(
        "!has(self.caSecretRef) || self.protocol.endsWith('SSL')",
        "caSecretRef needs protocol SSL or SASL_SSL",
    ),
    Rule(
        "!has(self.clientCertificateSecretRef) || self.protocol.endsWith('SSL')",
        "clientCertificateSecretRef needs protocol SSL or SASL_SSL",
    ),
    Rule(
        "has(self.oauth) == (has(self.saslMechanism) && self.saslMechanism == 'OAUTHBEARER')",
        "saslMechanism OAUTHBEARER needs oauth, and no other mechanism takes it",
    ),
    Rule("!(has(self.topic) && has(self.topicTemplate))", "set topic or topicTemplate, not both"),
    Rule(
        "has(self.topicTemplate) == (size(self.allowedTopics) > 0)",
        "topicTemplate needs allowedTopics (a row must not choose just any topic), and only topicTemplate takes them",
    ),
)


class Target(ApiModel):
    """Where events go. acks=all and the idempotent producer are not options: they are always on."""

    model_config = ConfigDict(json_schema_extra=rules(*TARGET_RULES))

    bootstrap_servers: Annotated[list[BootstrapServer], Field(min_length=1, max_length=20)]
    """Kafka brokers to start from, as host:port."""
    topic: TopicName | None = None
    """Topic that receives every event. It must exist: the relay never creates one."""
    topic_template: TopicTemplate | None = None
    """Topic of each row, with names of columns in braces, for example `orders.{region}` or `{topic}`; instead of topic.
    A topic that does not exist holds up its own rows only."""
    allowed_topics: Annotated[list[TopicPattern], Field(max_length=50)] = []
    """Topics that topicTemplate may name; * stands for any characters. A row that names another cannot be sent."""
    headers: Annotated[list[HeaderColumn], Field(max_length=32)] = []
    """Kafka headers from columns, beside those that the relay sends itself."""
    cloud_events: CloudEvents | None = None
    """Send events as CloudEvents in binary mode."""
    null_payload: Literal["Refuse", "Tombstone"] = "Refuse"
    """What a NULL payload is: Refuse treats the row as one that cannot be sent, Tombstone sends a null value, which
    deletes the key from a compacted topic."""
    protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = "SSL"
    """How brokers are spoken to. TLS certificates and host names are always verified."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How the relay proves who it is; used with SASL_SSL and SASL_PLAINTEXT."""
    credentials_secret_ref: UserPasswordReference | None = None
    """Secret with the user name and the password, or client id and secret for OAUTHBEARER; used with saslMechanism."""
    oauth: OAuth | None = None
    """Where tokens come from; used with saslMechanism OAUTHBEARER."""
    ca_secret_ref: SecretKeyReference | None = None
    """Secret key that holds the PEM certificates to trust, instead of the system's."""
    client_certificate_secret_ref: CertificateReference | None = None
    """Secret with the certificate and the private key by which the relay proves to the brokers who it is (mTLS)."""
    compression: Literal["none", "lz4", "zstd", "snappy", "gzip"] = "lz4"
    """How batches are compressed."""
    delivery_timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 10
    """Seconds without any confirmed delivery after which the relay stops sending, backs off, and starts again
    from the table."""

    @property
    def secret_references(self) -> tuple[SecretKeyReference, ...]:
        """Every key of a Secret that is needed to log in."""
        login, proof = self.credentials_secret_ref, self.client_certificate_secret_ref
        found = (
            self.ca_secret_ref,
            *((login.username, login.password) if login else ()),
            *((proof.certificate, proof.private_key) if proof else ()),
        )
        return tuple(reference for reference in found if reference is not None)

    @property
    def place(self) -> str:
        """The brokers as messages name them: the first three."""
        servers = self.bootstrap_servers
        return "Kafka at " + ",".join(servers[:3]) + (",…" if len(servers) > 3 else "")

    def problems(self) -> list[str]:
        """What the CEL rules of the CRD say, for a manifest that no API server has seen."""
        sasl = self.protocol.startswith("SASL")
        has_mechanism, has_credentials = (
            self.sasl_mechanism is not None,
            self.credentials_secret_ref is not None,
        )
        return check_rules(
            (TARGET_RULES[0], sasl == (has_mechanism and has_credentials)),
            (TARGET_RULES[1], sasl or not (has_mechanism or has_credentials)),
            (TARGET_RULES[2], self.ca_secret_ref is None or self.protocol.endswith("SSL")),
            (TARGET_RULES[3], self.client_certificate_secret_ref is None or self.protocol.endswith("SSL")),
            (TARGET_RULES[4], (self.oauth is not None) == (self.sasl_mechanism == "OAUTHBEARER")),
            (TARGET_RULES[5], not (self.topic and self.topic_template)),
            (TARGET_RULES[6], (self.topic_template is not None) == bool(self.allowed_topics)),
        )
