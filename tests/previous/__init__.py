"""The release before this one, for tests of upgrades: its chart, and what its image is built from.

It lies here as an archive, because a checkout need not have a history and no registry has the image. The archive is
what `git archive` made of that commit (renew.sh), and holds nothing that is not in it.
"""

from __future__ import annotations

import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path(__file__).with_name("release.tar.xz")
CHART = "charts/outbox-relay-operator"


@contextmanager
def unpacked() -> Iterator[Path]:
    """The release as a folder that looks like this project's root, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="outboxrelay-previous-") as folder:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def commit() -> str:
    """The commit that it is of, as `git archive` noted it."""
    with tarfile.open(ARCHIVE) as archive:
        return str(archive.pax_headers["comment"])
