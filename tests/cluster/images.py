"""Container images: the pause program's, made without a builder, and those the user loads."""

from __future__ import annotations

def load(tar): ...
