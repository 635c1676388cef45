"""Half a build is never taken for a whole one, and another recipe is another artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import artifact

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failed_build_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    target = tmp_path / "thing-1"

    def half(folder: Path) -> None:
        (folder / "part").touch()
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        artifact.ensure(target, "thing", "", half)
    assert not target.exists()


def test_the_next_build_removes_the_remains_of_one_that_was_killed(tmp_path: Path) -> None:
    remains = tmp_path / ".thing-1.killed"
    remains.mkdir()

    artifact.ensure(tmp_path / "thing-1", "thing", "", lambda folder: (folder / "whole").touch())

    assert [entry.name for entry in tmp_path.iterdir()] == ["thing-1"]
    assert (tmp_path / "thing-1" / "whole").exists()


def test_a_finished_artifact_is_not_made_again(tmp_path: Path) -> None:
    def never(_: Path) -> None:
        raise AssertionError("made again")

    (tmp_path / "thing-1").mkdir()
    artifact.ensure(tmp_path / "thing-1", "thing", "", never)


def test_other_ingredients_are_another_artifact(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTBOXRELAY_CACHE", str(tmp_path))
    places = {
        artifact.place("thing", "1", ingredients) for ingredients in ([b"a", b"b"], [b"ab"], [b"a", b"c"], [b"b", b"a"])
    }
    assert len(places) == 4
    assert all(place.parent == tmp_path for place in places)
