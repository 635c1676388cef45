"""What every Kafka client of this project is configured with, from the spec and the Secrets it names."""

from typing import TYPE_CHECKING

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.api.names import Reason
from outboxrelay.api.references import UserPasswordReference
from outboxrelay.api.target import Target
from outboxrelay.errors import Fault, TargetFault

if TYPE_CHECKING:
    from outboxrelay.adapters.kafka_topic import TopicLimits

ClientConfig = dict[str, str | int | float | bool]

SMALLEST_LIMIT = 1000
LARGEST = 1_000_000_000
BATCH_BYTES = 1_000_000
QUEUE_KIBIBYTES = 32 * 1024
RECORD_OVERHEAD_BYTES = 100
"""What a batch of one row adds to the key, value and headers that librdkafka counts, at most."""


def client_config(target: Target, credentials: Credentials) -> ClientConfig:
    """The part that producers and admin clients share; raises TargetFault where a Secret is missing."""
    config: ClientConfig = {
        "bootstrap.servers": ",".join(target.bootstrap_servers),
        "client.id": "outboxrelay",
        "security.protocol": target.protocol,
        "socket.connection.setup.timeout.ms": 5000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 250,
        "reconnect.backoff.max.ms": 2000,
        # Kafka's own default lets whoever asks for a missing topic create it.
        "allow.auto.create.topics": False,
        # What matters arrives through error_cb; librdkafka's own lines would not be JSON.
        "log_level": 0,
    }
    try:
        if target.protocol.endswith("SSL"):
            config["enable.ssl.certificate.verification"] = True
            config["ssl.endpoint.identification.algorithm"] = "https"
            if target.ca_secret_ref:
                ca = credentials.read(target.ca_secret_ref)
                config["ssl.ca.pem"] = _pem(ca, "CERTIFICATE", "spec.target.caSecretRef")
        if target.client_certificate_secret_ref:
            proof = target.client_certificate_secret_ref
            place = "spec.target.clientCertificateSecretRef"
            config["ssl.certificate.pem"] = _pem(credentials.read(proof.certificate), "CERTIFICATE", place)
            config["ssl.key.pem"] = _pem(credentials.read(proof.private_key), "PRIVATE KEY", place)
        if target.sasl_mechanism and target.credentials_secret_ref:
            config |= _login(target, target.credentials_secret_ref, credentials)
    except Fault as fault:
        raise TargetFault(fault.reason, fault.message) from None
    return config


def producer_config(common: ClientConfig, target: Target, limits: "TopicLimits | None") -> ClientConfig:
    """The producer's configuration: what order and at-least-once rest on is not an option.

    ``limits`` of the topic, or None where rows name their topic: each is measured against its own topic's then.
    """
    # Less than the topic takes, so that a row that is too large is found before anything behind it leaves.
    most = LARGEST if limits is None else max(SMALLEST_LIMIT, limits.max_message_bytes - RECORD_OVERHEAD_BYTES)
    return {
        **common,
        "enable.idempotence": True,
        "acks": "all",
        # librdkafka's own timeout gives up single rows and goes on with those behind them: order would be lost.
        "message.timeout.ms": 0,
        # A topic that is gone is told soon; its rows wait in the table.
        "topic.metadata.propagation.max.ms": 5000,
        "partitioner": "murmur2_random",
        "delivery.report.only.error": True,
        "linger.ms": 5,
        "compression.type": target.compression,
        "message.max.bytes": min(most, LARGEST),
        "batch.size": min(most, BATCH_BYTES),
        "queue.buffering.max.messages": 0,
        "queue.buffering.max.kbytes": QUEUE_KIBIBYTES,
    }


def _login(target: Target, login: UserPasswordReference, credentials: Credentials) -> ClientConfig:
    user, password = credentials.read(login.username), credentials.read(login.password)
    if target.oauth is None:
        return {"sasl.mechanism": str(target.sasl_mechanism), "sasl.username": user, "sasl.password": password}
    config: ClientConfig = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": user,
        "sasl.oauthbearer.client.secret": password,
        "sasl.oauthbearer.token.endpoint.url": target.oauth.token_endpoint_url,
    }
    if target.oauth.scope:
        config["sasl.oauthbearer.scope"] = target.oauth.scope
    return config


def _pem(text: str, kind: str, place: str) -> str:
    if f"{kind}-----" not in text:
        raise TargetFault(Reason.TLS_FAILED, f"the Secret of {place} holds no PEM {kind.lower()}")
    return text
