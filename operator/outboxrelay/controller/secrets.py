"""Reading the Secrets that a relay refers to, one by one: the operator may neither list nor watch Secrets."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from outboxrelay.api.names import Reason
from outboxrelay.api.references import SecretKeyReference
from outboxrelay.decisions.facts import Verdict
from outboxrelay.errors import ClusterFault
from outboxrelay.manifests.kinds import SECRET, ResourceKind


class ObjectSource(Protocol):
    """Reads one object."""

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""


@dataclass(frozen=True, slots=True)
class SecretValues:
    """What the references lead to."""

    values: Mapping[tuple[str, str], bytes] = field(default_factory=dict, repr=False)
    """(Secret, key) → value."""
    missing: Verdict | None = None
    """The first thing that is not there."""

    def texts(self) -> dict[tuple[str, str], str]:
        """The values as text."""
        return {place: value.decode() for place, value in self.values.items()}


async def read_secrets(source: ObjectSource, namespace: str, references: Sequence[SecretKeyReference]) -> SecretValues:
    """Every referenced value; raises ClusterFault where the API does not answer."""
    values: dict[tuple[str, str], bytes] = {}
    missing: Verdict | None = None
    for name in dict.fromkeys(reference.name for reference in references):
        keys = [reference.key for reference in references if reference.name == name]
        body, problem = await _read(source, namespace, name)
        for key in keys if body is not None else ():
            value = _decoded(body, key)
            if isinstance(value, bytes):
                values[name, key] = value
            else:
                problem = problem or _key_missing(namespace, name, key, value)
        missing = missing or problem
    return SecretValues(values, missing)


async def _read(source: ObjectSource, namespace: str, name: str) -> tuple[dict[str, Any] | None, Verdict | None]:
    try:
        body = await source.get(SECRET, namespace, name)
    except ClusterFault as fault:
        if fault.status != 403:
            raise
        message = f"the operator may not read Secret {name} in namespace {namespace}; grant it get on secrets there"
        return None, Verdict(Reason.SECRET_NOT_FOUND, message)
    if body is None:
        message = f"Secret {name} not found in namespace {namespace}; create it, or correct the reference"
        return None, Verdict(Reason.SECRET_NOT_FOUND, message)
    return body, None


def _decoded(body: Mapping[str, Any] | None, key: str) -> bytes | str:
    """The value of ``key``, or what is wrong with it."""
    encoded = ((body or {}).get("data") or {}).get(key)
    if encoded is None:
        return "has no key"
    try:
        value = base64.b64decode(encoded, validate=True)
        value.decode()
    except (binascii.Error, UnicodeDecodeError):
        return "holds no UTF-8 text at key"
    return value or "is empty at key"


def _key_missing(namespace: str, name: str, key: str, problem: str) -> Verdict:
    message = f"Secret {name} in namespace {namespace} {problem} {key}; add it, or correct the reference"
    return Verdict(Reason.SECRET_KEY_MISSING, message)
