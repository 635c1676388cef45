"""Where secret values come from: files that Kubernetes mounts, or a mapping that the caller filled.

Which of the values that they have held is used, and from when on, is decided elsewhere (renewable_credentials).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from outboxrelay.api.names import Reason
from outboxrelay.api.references import SecretKeyReference
from outboxrelay.errors import Fault

MAX_BYTES = 1024 * 1024
"""A Secret cannot be larger in Kubernetes."""


class Credentials(Protocol):
    """Gives the value that a reference names."""

    def read(self, reference: SecretKeyReference) -> str:
        """The value, without line ends behind it; raises Fault (SecretNotFound or SecretKeyMissing)."""


class DirectoryCredentials:
    """One directory for each Secret, in it one file for each key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, reference: SecretKeyReference) -> str:
        """The content of <path>/<name>/<key>."""
        directory = self._path / reference.name
        try:
            if not directory.is_dir():
                raise secret_not_found(reference, f" (expected the directory {directory})")
            with (directory / reference.key).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise key_missing(reference, f" (expected the file {directory / reference.key})") from None
        except OSError as error:
            place = directory / reference.key
            raise Fault(Reason.SECRET_KEY_MISSING, f"cannot read {place}: {error.strerror}") from None
        return _text(content, reference)


class MappingCredentials:
    """Values that the caller has already read, by (Secret name, key)."""

    def __init__(self, values: Mapping[tuple[str, str], str]) -> None:
        self._values = dict(values)

    def read(self, reference: SecretKeyReference) -> str:
        """The value of (name, key)."""
        value = self._values.get((reference.name, reference.key))
        if value is not None:
            return value.rstrip("\r\n")
        if any(name == reference.name for name, _ in self._values):
            raise key_missing(reference)
        raise secret_not_found(reference)


def secret_not_found(reference: SecretKeyReference, where: str = "") -> Fault:
    """The fault of a Secret that is not there."""
    return Fault(Reason.SECRET_NOT_FOUND, f"Secret {reference.name} not found{where}")


def key_missing(reference: SecretKeyReference, where: str = "") -> Fault:
    """The fault of a Secret that lacks a key."""
    return Fault(Reason.SECRET_KEY_MISSING, f"Secret {reference.name} has no key {reference.key}{where}")


def _text(content: bytes, reference: SecretKeyReference) -> str:
    place = f"key {reference.key} of Secret {reference.name}"
    if len(content) > MAX_BYTES:
        raise Fault(Reason.SECRET_KEY_MISSING, f"{place} is larger than {MAX_BYTES} bytes")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Fault(Reason.SECRET_KEY_MISSING, f"{place} is not UTF-8 text") from None
