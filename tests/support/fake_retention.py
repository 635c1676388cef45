"""Delivered rows that are kept, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outboxrelay.errors import SourceFault


class FakeRetention:
    """Satisfies the relay's Retention."""

    def __init__(self, marked: int = 0) -> None:
        self.marked = marked
        """Rows that are old enough to go."""
        self.asked: list[tuple[float, int]] = []
        """(seconds kept, most rows) of each batch."""
        self.rotations: list[float] = []
        """Seconds kept, of each rotation."""
        self.done: Sequence[str] = ()
        """What a rotation tells."""
        self.fault: SourceFault | None = None
        self.closed = False

    async def delete_marked(self, older_than: float, most: int) -> int:
        """Rows that went."""
        self.asked.append((older_than, most))
        if self.fault:
            raise self.fault
        gone = min(most, self.marked)
        self.marked -= gone
        return gone

    async def rotate_archive(self, keep: float) -> Sequence[str]:
        """What ``done`` says."""
        self.rotations.append(keep)
        if self.fault:
            raise self.fault
        return self.done

    async def close(self) -> None:
        """Note it."""
        self.closed = True
