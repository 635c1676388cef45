"""What every Kafka client of this project is configured with, from the spec and the Secrets it names."""

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.api.names import Reason
from outboxrelay.api.target import Target
from outboxrelay.errors import Fault, TargetFault

ClientConfig = dict[str, str | int | float | bool]


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
                config["ssl.ca.pem"] = _certificates(credentials.read(target.ca_secret_ref))
        if target.sasl_mechanism and target.credentials_secret_ref:
            config["sasl.mechanism"] = target.sasl_mechanism
            config["sasl.username"] = credentials.read(target.credentials_secret_ref.username)
            config["sasl.password"] = credentials.read(target.credentials_secret_ref.password)
    except Fault as fault:
        raise TargetFault(fault.reason, fault.message) from None
    return config


def _certificates(text: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise TargetFault(Reason.TLS_FAILED, "the value of spec.target.caSecretRef holds no PEM certificate")
    return text
