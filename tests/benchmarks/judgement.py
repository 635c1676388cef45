"""A figure counts only where the oracle passes what was delivered on the way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.oracle import Verdict


def require(result: Verdict, *, waiting: int = 0, duplicates: bool = False) -> Verdict:
    """Nothing lost or inverted, exactly ``waiting`` held up, and nothing repeated unless ``duplicates`` may be.

    Raises SystemExit with the report.
    """
    wrong = [] if result.passed else ["the oracle does not pass it"]
    if result.waiting != waiting:
        wrong.append(f"waiting must be {waiting:,}, it is {result.waiting:,}")
    if result.duplicates and not duplicates:
        wrong.append(f"duplicates must be 0, there are {result.duplicates:,}")
    if wrong:
        raise SystemExit(f"{'; '.join(wrong)}\n{result.report()}")
    return result
