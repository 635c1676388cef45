"""The relay's config file: what of the spec a running relay needs to know.

What is about the number of pods, the pod template and the generation are left out: scaling and relabelling must not
restart a relay.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import yaml

from outboxrelay.api.manifest import RelayManifest

NOT_FOR_RELAYS = ("scaling", "objectives", "template", "isolation", "dependsOn")


def config_text(manifest: RelayManifest) -> str:
    """The text of the config file; the same manifest always gives the same text."""
    document: dict[str, Any] = manifest.as_object()
    document["metadata"] = {key: value for key, value in document["metadata"].items() if key != "generation"}
    spec = {key: value for key, value in document["spec"].items() if key not in NOT_FOR_RELAYS}
    # Stopped means that there is no pod to read this: starting again then needs no new pod template.
    spec["state"] = "Paused" if manifest.spec.state == "Paused" else "Running"
    database = {key: value for key, value in spec["source"]["database"].items() if key != "maxConnections"}
    spec["source"] = {**spec["source"], "database": database}
    document["spec"] = spec
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=True, width=110)


def config_hash(text: str) -> str:
    """What the pod template carries, so that a changed config rolls the pods."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def credentials_hash(uid: str, values: Iterable[tuple[str, str, bytes]]) -> str:
    """What the pod template carries of the referenced (Secret, key, value)s: salted, so that equal passwords of
    two relays do not show."""
    digest = hashlib.sha256(uid.encode())
    for name, key, value in sorted(values):
        for part in (name.encode(), key.encode(), value):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()[:32]
