"""Conditions with their reasons."""

from outboxrelay.api.names import REASONS, Condition, Reason
from tests.reference.docstrings import docstrings
from tests.reference.markdown import code, table

HEAD = """# Conditions and reasons

<!-- generated from operator/outboxrelay/api/names.py by make reference; do not edit -->

`kubectl describe outboxrelay NAME` shows them, each with a sentence that says what is seen now. `Unknown` means that it
cannot be observed, and is never a guess. `kubectl wait --for=condition=Ready outboxrelay/NAME` waits for one.

A spec that is not accepted makes conditions that hang on it `Unknown` with the reason of `Accepted`."""
FIRST = "the first that is not well, of Accepted, SourceReachable, TargetReachable, Available, Delivering"
OF_ROWS = (Reason.ROW_TOO_LARGE, Reason.ROW_REJECTED, Reason.ROW_UNMAPPABLE, Reason.ROW_ENDS_PROCESS)


def page() -> str:
    """The page."""
    types, reasons = docstrings(Condition), docstrings(Reason)
    parts = [HEAD]
    for condition, its_reasons in REASONS.items():
        rows = [(code(reason), reasons[reason]) for reason in its_reasons]
        if condition is Condition.READY:
            rows.append(("any of the others'", FIRST))
        parts.append(f"## {condition}\n{types[condition]}\n\n{table(('Reason', 'Meaning'), rows)}")
    rows = [(code(reason), reasons[reason]) for reason in OF_ROWS]
    parts.append(
        "## Of a row that cannot be sent\nIn `status.held`, in `outboxrelay.quarantine` and in dead letters "
        f"([rows that cannot be sent](../poison.md)).\n\n{table(('Reason', 'Meaning'), rows)}"
    )
    return "\n\n".join(parts) + "\n"
