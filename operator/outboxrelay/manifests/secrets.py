"""Which Secret keys a spec refers to."""

from outboxrelay.api.references import SecretKeyReference
from outboxrelay.api.spec import OutboxRelaySpec


def references(spec: OutboxRelaySpec) -> tuple[SecretKeyReference, ...]:
    """Every referenced key once, sorted by Secret and key."""
    found = (*spec.source.database.secret_references, *spec.target.secret_references)
    unique = {(item.name, item.key): item for item in found}
    return tuple(unique[place] for place in sorted(unique))
