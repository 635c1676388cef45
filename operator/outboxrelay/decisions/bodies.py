"""Parts of objects as the API server delivers them: anybody may have written anything there."""

from collections.abc import Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` where it is a mapping, and an empty one where it is anything else."""
    return value if isinstance(value, Mapping) else {}
