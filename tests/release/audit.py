"""What pip-audit found, with the packages that it could not ask about told as what they are: not checked."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Audit:
    """How many packages there are, what is known of them, and which were not looked at."""

    packages: int
    vulnerable: tuple[str, ...]
    unchecked: tuple[str, ...]


def read(report: str) -> Audit:
    """The report of `pip-audit --format json`. pip-audit itself ends well when it has no data at all."""
    found = json.loads(report)["dependencies"]
    vulnerable = tuple(
        f"{item['name']} {item['version']}: {one['id']}"
        + (f", mended in {', '.join(one['fix_versions'])}" if one.get("fix_versions") else "")
        for item in found
        for one in item.get("vulns", [])
    )
    return Audit(len(found), vulnerable, tuple(item["name"] for item in found if "skip_reason" in item))
