"""The licences of what the package brings along, as the SBOM tells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALLOWED = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0", "Python-2.0"})
"""SPDX identifiers that ask for no more than to be named."""
NAMES: Mapping[str, str] = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages say that have no SPDX identifier yet. The classifier of BSD does not say which; both are allowed."""
EXCEPTIONS: Mapping[str, tuple[str, str]] = {
    "certifi": ("MPL-2.0", "a list of certificates that is passed on unchanged, with its licence beside it"),
}
"""By package: the licence that is accepted for it alone, and why."""


def problems(
    components: Iterable[Mapping[str, Any]], exceptions: Mapping[str, tuple[str, str]] = EXCEPTIONS
) -> list[str]:
    """Components without a licence, with one that is not allowed, and exceptions that nobody needs any more."""
    wrong = []
    needed = set()
    for component in components:
        name = component["name"]
        said = list(licences_of(component))
        if not said:
            wrong.append(f"{name} {component.get('version', '')}: no licence is told")
        for expression in said:
            if is_allowed(expression):
                continue
            if name in exceptions and exceptions[name][0] == expression:
                needed.add(name)
            else:
                wrong.append(f"{name} {component.get('version', '')}: {expression} is not among those that are allowed")
    wrong += [f"the exception for {name} is not needed any more" for name in exceptions if name not in needed]
    return wrong


def licences_of(component: Mapping[str, Any]) -> Iterable[str]:
    """SPDX identifiers or expressions of a CycloneDX component; other texts as they are."""
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        text = entry.get("expression") or licence.get("id") or licence.get("name") or ""
        yield NAMES.get(text, text)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression asks for no more than what is allowed. One with parentheses is not understood."""
    choices = re.split(r"\s+OR\s+", expression)
    return any(all(part.strip() in ALLOWED for part in re.split(r"\s+AND\s+", choice)) for choice in choices)
