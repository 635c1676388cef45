"""How often what only grows old is written or read again, so that a fleet of any size costs the API server no more."""

NUMBERS_PER_SECOND = 15.0
"""Statuses of all relays together that are written only because numbers moved."""

SURVEY_SECONDS = 30.0
SURVEYS_PER_SECOND = 20 / 3
"""Of all relays together, where nothing changed: each reads a Secret or two, a ConfigMap and a ServiceAccount."""


def numbers_interval(least: float, relays: int) -> float:
    """Seconds between two writes of one relay's numbers: ``least``, or more where there are many relays."""
    return max(least, relays / NUMBERS_PER_SECOND)


def survey_interval(relays: int) -> float:
    """Seconds after which what is not watched of one relay is read again."""
    return max(SURVEY_SECONDS, relays / SURVEYS_PER_SECOND)
