"""How often the numbers of a relay's status are written, so that a fleet of any size costs the API server no more."""

NUMBERS_PER_SECOND = 15.0
"""Statuses of all relays together that are written only because numbers moved."""


def numbers_interval(least: float, relays: int) -> float:
    """Seconds between two writes of one relay's numbers: ``least``, or more where there are many relays."""
    return max(least, relays / NUMBERS_PER_SECOND)
