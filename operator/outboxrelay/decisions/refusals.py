"""What the API server's refusal of a child object means for the OutboxRelay that asked for it."""

import re
from dataclasses import dataclass

from outboxrelay.api.names import Reason
from outboxrelay.decisions.facts import Verdict

PATHS = (
    (re.compile(r"\.?\bspec\.template\.spec\.containers\[0\]\."), "spec.template."),
    (re.compile(r"\.?\bspec\.template\.spec\.containers\[name=\"relay\"\]\."), "spec.template."),
    (re.compile(r"\.?\bspec\.template\.(spec|metadata)\."), "spec.template."),
)
"""Where a field of the pod template stands in an OutboxRelay."""
INVALID = frozenset({400, 422})
SCHEMA_WORDS = (
    "failed to create typed patch object",
    "field not declared in schema",
    "unknown field",
    "unable to convert unstructured object",
)
"""Server-side apply says this, under several HTTP statuses, of a value that does not fit the child's schema."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a child object is not as it should be."""

    verdict: Verdict | None
    """Set where the spec is at fault: asking again changes nothing until it changes."""
    text: str


def refusal(status: int, message: str, what: str) -> Refusal | None:
    """The refusal that an HTTP ``status`` with ``message`` stands for; None where trying again may help."""
    schema = any(word in message for word in SCHEMA_WORDS)
    if status in INVALID or (schema and status >= 400):
        text = f"Kubernetes refuses the {what}: {user_path(message)}"
        return Refusal(Verdict(Reason.INVALID_SPEC, text), text)
    if status == 403 and "being terminated" not in message:
        return Refusal(None, f"the {what}: {message}")
    return None


def user_path(message: str) -> str:
    """``message`` with the paths of the Deployment turned into those of the OutboxRelay."""
    for pattern, path in PATHS:
        message = pattern.sub(path, message)
    if "spec.template" in message:
        return message
    # Of a value that cannot even be read, Kubernetes says only what it should look like.
    place = "spec.template.resources" if "quantities must match" in message else "spec.template"
    return f"{place}: {message}"
