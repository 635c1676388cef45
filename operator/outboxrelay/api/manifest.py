"""Reading an OutboxRelay manifest: the operator's from the API server, the relay's from its config file."""

from typing import Any

from pydantic import ValidationError

from outboxrelay.api.isolation import SELF_RULE
from outboxrelay.api.model import ApiModel
from outboxrelay.api.names import API_VERSION, KIND, MAX_NAME_LENGTH
from outboxrelay.api.spec import OutboxRelaySpec
from outboxrelay.errors import InvalidInput


class RelayIdentity(ApiModel):
    """Which relay this is."""

    namespace: str
    name: str
    uid: str
    """The object's uid; the advisory locks derive from it. For a manifest without one: namespace/name."""
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class RelayManifest(ApiModel):
    """A valid OutboxRelay: who it is and what it asks for."""

    identity: RelayIdentity
    spec: OutboxRelaySpec

    def as_object(self) -> dict[str, Any]:
        """The manifest that the relay's config file holds: defaults filled in, no status, no managed fields."""
        identity = self.identity.model_dump(by_alias=True)
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": identity,
            "spec": self.spec.model_dump(by_alias=True, exclude_none=True),
        }


def parse_spec(data: object) -> OutboxRelaySpec:
    """The spec in ``data``; raises InvalidInput that names each wrong field by its path below spec."""
    try:
        spec = OutboxRelaySpec.model_validate(data)
    except ValidationError as error:
        raise InvalidInput("; ".join(_problem(item) for item in error.errors(include_url=False)[:5])) from None
    if problems := spec.problems():
        raise InvalidInput("; ".join(problems))
    return spec


def parse_manifest(data: object) -> RelayManifest:
    """The manifest in ``data``; raises InvalidInput that names each wrong field by its path."""
    if not isinstance(data, dict):
        raise InvalidInput(f"expected an {KIND} manifest (a mapping), found {type(data).__name__}")
    for field, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if data.get(field) != expected:
            raise InvalidInput(f"{field}: must be {expected}, is {data.get(field)!r}")
    if unknown := sorted(map(str, set(data) - {"apiVersion", "kind", "metadata", "spec", "status"})):
        raise InvalidInput(f"{unknown[0]}: unknown field")
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        raise InvalidInput("metadata: required, with at least a name")
    identity, spec = _identity(metadata), parse_spec(data.get("spec"))
    if identity.name in spec.depends_on:
        raise InvalidInput(SELF_RULE.message)
    return RelayManifest(identity=identity, spec=spec)


def _identity(metadata: dict[str, Any]) -> RelayIdentity:
    name, namespace = metadata.get("name"), metadata.get("namespace", "default")
    for field, value in (("name", name), ("namespace", namespace), ("uid", metadata.get("uid", "x"))):
        if not isinstance(value, str) or not value:
            raise InvalidInput(f"metadata.{field}: must be a text that is not empty")
    if len(str(name)) > MAX_NAME_LENGTH:
        raise InvalidInput(f"metadata.name: must be at most {MAX_NAME_LENGTH} characters")
    generation = metadata.get("generation", 0)
    if not isinstance(generation, int):
        raise InvalidInput("metadata.generation: must be a number")
    return RelayIdentity(
        namespace=namespace,
        name=str(name),
        uid=metadata.get("uid", f"{namespace}/{name}"),
        generation=generation,
    )


def _problem(error: Any) -> str:
    """One line: the path below spec as users write it, what is wrong, and the value found."""
    path = "spec"
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown field"
    if error["type"] == "missing":
        return f"{path}: required"
    message = error["msg"][0].lower() + error["msg"][1:]
    found = error.get("input")
    shown = "" if isinstance(found, dict | list) else f", is {str(found)[:80]!r}"
    return f"{path}: {message}{shown}"
