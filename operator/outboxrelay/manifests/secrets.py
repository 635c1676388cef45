"""Which Secret keys a spec refers to."""

from outboxrelay.api.references import SecretKeyReference
from outboxrelay.api.spec import OutboxRelaySpec


def references(spec: OutboxRelaySpec) -> tuple[SecretKeyReference, ...]:
    """Every referenced key once, sorted by Secret and key."""
    database, target = spec.source.database, spec.target
    found = [database.uri_secret_ref, database.ca_secret_ref, target.ca_secret_ref]
    for login in (database.credentials_secret_ref, target.credentials_secret_ref):
        if login is not None:
            found += [login.username, login.password]
    for proof in (database.client_certificate_secret_ref, target.client_certificate_secret_ref):
        if proof is not None:
            found += [proof.certificate, proof.private_key]
    unique = {(item.name, item.key): item for item in found if item is not None}
    return tuple(unique[place] for place in sorted(unique))
