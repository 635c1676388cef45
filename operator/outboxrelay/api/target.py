"""spec.target: the Kafka cluster and the topic."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from outboxrelay.api.model import ApiModel
from outboxrelay.api.references import SecretKeyReference, UserPasswordReference
from outboxrelay.api.validation import Rule, check_rules, rules

BootstrapServer = Annotated[
    str,
    StringConstraints(min_length=3, max_length=260, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"),
]
TopicName = Annotated[str, StringConstraints(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]

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
)


class Target(ApiModel):
    """Where events go. acks=all and the idempotent producer are not options: they are always on."""

    model_config = ConfigDict(json_schema_extra=rules(*TARGET_RULES))

    bootstrap_servers: Annotated[list[BootstrapServer], Field(min_length=1, max_length=20)]
    """Kafka brokers to start from, as host:port."""
    topic: TopicName
    """Topic that receives every event. It must exist: the relay never creates one."""
    protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = "SSL"
    """How brokers are spoken to. TLS certificates and host names are always verified."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How the relay proves who it is; used with SASL_SSL and SASL_PLAINTEXT."""
    credentials_secret_ref: UserPasswordReference | None = None
    """Secret with the user name and the password; used with saslMechanism."""
    ca_secret_ref: SecretKeyReference | None = None
    """Secret key that holds the PEM certificates to trust, instead of the system's."""
    compression: Literal["none", "lz4", "zstd", "snappy", "gzip"] = "lz4"
    """How batches are compressed."""
    delivery_timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 10
    """Seconds without any confirmed delivery after which the relay stops sending, backs off, and starts again
    from the table."""

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
        )
