"""How many rows the next read asks for: few at first, more while batches are light, fewer when they are heavy."""

FIRST_ROWS = 100
BYTE_BUDGET = 8 * 1024 * 1024
"""Payload bytes that one batch should stay below; two batches are in memory at a time."""

FEW_ROWS = 50
"""Large rows of one read that are fetched on their own."""


def first_limit(most: int) -> int:
    """Rows of the first read, before anything is known of their size."""
    return min(FIRST_ROWS, most)


def next_limit(limit: int, rows: int, payload_bytes: int, most: int) -> int:
    """Rows of the next read after one of ``limit`` returned ``rows`` rows with ``payload_bytes``."""
    if rows == 0:
        return limit
    fitting = max(1, int(BYTE_BUDGET * rows / max(1, payload_bytes)))
    if payload_bytes > BYTE_BUDGET:
        return min(most, fitting)
    if rows < limit:
        return min(limit, max(fitting, 1))
    return max(1, min(most, limit * 2, fitting))


def may_be_fetched_alone(large_rows: int, payload_bytes: int) -> bool:
    """Whether payloads that a read left out may follow on their own: of few rows, and all together within the budget.

    ``payload_bytes`` of the whole read, those included.
    """
    return large_rows <= FEW_ROWS and payload_bytes <= BYTE_BUDGET
