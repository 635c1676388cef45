"""The table of incident types: from the types, and from the page of each."""

import re
from pathlib import Path

from outboxrelay.api.incidents import RUNBOOKS
from outboxrelay.decisions.incidents.kinds import KINDS
from tests.reference.markdown import table

_WITHIN = re.compile(r"Known within: (.*?)\.?$", re.MULTILINE)


def section() -> tuple[str, str]:
    """Name and text of the section."""
    rows = []
    for kind in KINDS.values():
        found = _WITHIN.search((Path(RUNBOOKS) / f"{kind.type}.md").read_text())
        assert found, f"the page of {kind.type} does not say within what time it is known"
        rows.append((f"[{kind.type}]({kind.type}.md)", str(kind.severity), found[1], kind.title))
    return "types", table(("Type", "Severity", "Known within", ""), rows)
