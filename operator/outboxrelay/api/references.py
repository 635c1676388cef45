"""References to Secrets: by name and key, never a value."""

from typing import Annotated

from pydantic import Field, StringConstraints

from outboxrelay.api.model import ApiModel

SecretName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
SecretKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"),
]


class SecretKeyReference(ApiModel):
    """One value in a Secret of the relay's namespace."""

    name: SecretName
    """Name of a Secret in the namespace of this OutboxRelay."""
    key: SecretKey
    """Key inside that Secret."""


class UserPasswordReference(ApiModel):
    """A user name and a password in one Secret of the relay's namespace."""

    name: SecretName
    """Name of a Secret in the namespace of this OutboxRelay."""
    username_key: SecretKey = "username"
    """Key of the user name inside that Secret."""
    password_key: SecretKey = Field(default="password")
    """Key of the password inside that Secret."""

    @property
    def username(self) -> SecretKeyReference:
        """Where the user name is."""
        return SecretKeyReference(name=self.name, key=self.username_key)

    @property
    def password(self) -> SecretKeyReference:
        """Where the password is."""
        return SecretKeyReference(name=self.name, key=self.password_key)


class CertificateReference(ApiModel):
    """A client certificate and its private key in one Secret of the relay's namespace, as cert-manager writes them."""

    name: SecretName
    """Name of a Secret in the namespace of this OutboxRelay."""
    certificate_key: SecretKey = "tls.crt"
    """Key of the PEM certificate chain inside that Secret."""
    private_key_key: SecretKey = "tls.key"
    """Key of the PEM private key, not encrypted, inside that Secret."""

    @property
    def certificate(self) -> SecretKeyReference:
        """Where the certificate chain is."""
        return SecretKeyReference(name=self.name, key=self.certificate_key)

    @property
    def private_key(self) -> SecretKeyReference:
        """Where the private key is."""
        return SecretKeyReference(name=self.name, key=self.private_key_key)
