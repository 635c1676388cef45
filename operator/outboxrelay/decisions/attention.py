"""Whether a silence is somebody else's, or our own: who comes late to all his work does not notice answers either."""

from collections.abc import Callable
from typing import Protocol

OWN_SHARE = 0.5
LEAST_SECONDS = 1.0
"""Nobody is taken to be silent sooner, so that a refusal which comes at once counts."""
TURNS = 2
"""Whoever asks a place that others ask waits for his turn as long as so many questions may take."""


class Attention(Protocol):
    """Knows how well the operator keeps up."""

    def since(self) -> Callable[[], bool]:
        """Begin to wait for an answer; what is given tells later whether one may have come unnoticed."""


def was_away(late: float, waited: float) -> bool:
    """Whether of ``waited`` seconds so many were lost by coming ``late`` that silence says nothing."""
    return waited >= LEAST_SECONDS and late > OWN_SHARE * waited
