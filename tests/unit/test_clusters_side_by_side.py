"""Each cluster has a name, and what several of them share is put back by the last one that goes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.cluster import artifact, kernel, lock, machine, mounts, paths, processes
from tests.cluster.failures import ClusterError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of the test's own."""
    monkeypatch.setattr(paths, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(paths, "MACHINE_LOCK", tmp_path / "machine.lock")
    return tmp_path / "machine"


def be(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Go on as the process of another cluster."""
    monkeypatch.setattr(paths, "CLUSTER", name)


@pytest.mark.parametrize("environment", [{}, {"OUTBOXRELAY_CLUSTER": ""}, {"OUTBOXRELAY_CLUSTER": "local"}])
def test_without_a_name_it_is_the_cluster_that_has_always_been_there(environment: dict[str, str]) -> None:
    assert paths.cluster_name(environment) == paths.DEFAULT
    assert paths.named("outboxrelay", paths.DEFAULT) == "outboxrelay"


def test_a_name_makes_everything_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.cluster_name({"OUTBOXRELAY_CLUSTER": "suite-2"}) == "suite-2"
    assert paths.named("outboxrelay", "suite-2") == "outboxrelay-suite-2"


@pytest.mark.parametrize("name", ["Suite", "a_b", "-a", "a-", "../a", "a b", "a/b", "a" * 31, "ä"])
def test_what_cannot_be_a_name_is_refused_and_shown(name: str) -> None:
    with pytest.raises(ClusterError, match=r"OUTBOXRELAY_CLUSTER is .*lower-case letters, digits and dashes"):
        paths.cluster_name({"OUTBOXRELAY_CLUSTER": name})


def test_the_last_cluster_that_goes_puts_back_what_is_shared(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    put_back: list[str] = []

    def restore() -> list[str]:
        put_back.append(paths.CLUSTER)
        return []

    for name in ("a", "b"):
        be(monkeypatch, name)
        machine.join()
    assert machine.others() == ["a"]

    be(monkeypatch, "a")
    machine.leave(restore)
    assert put_back == []

    be(monkeypatch, "b")
    assert machine.others() == []
    machine.leave(restore)
    assert put_back == ["b"]
    assert not shared.exists()


def test_what_could_not_be_put_back_is_tried_again(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    be(monkeypatch, "a")
    machine.join()
    assert machine.leave(lambda: ["/var/lib/kubelet"]) == ["/var/lib/kubelet"]
    assert shared.exists()
    assert machine.leave(list) == []
    assert not shared.exists()


def test_a_cluster_from_before_the_machines_last_start_keeps_nobody_from_putting_back(
    monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    be(monkeypatch, "a")
    with monkeypatch.context() as earlier:
        earlier.setattr(processes, "boot", lambda: "earlier")
        machine.join()
        (shared / "kernel.json").write_text("{}")
        (shared / "created-folders.json").write_text("[]")
    be(monkeypatch, "b")

    machine.join()

    assert machine.others() == []
    # The settings of that time are none to go back to, but its folders are still there to be removed.
    assert not (shared / "kernel.json").exists()
    assert (shared / "created-folders.json").exists()


def test_the_settings_are_those_from_before_the_first_cluster(
    monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path
) -> None:
    setting = tmp_path / "panic"
    setting.write_text("0\n")
    monkeypatch.setattr(kernel, "_SETTINGS", ("panic",))
    monkeypatch.setattr(kernel, "_SAVED", shared / "kernel.json")
    monkeypatch.setattr(kernel, "_file", lambda _: setting)
    for name in ("a", "b"):
        be(monkeypatch, name)
        machine.join()
        kernel.remember()
        setting.write_text("10\n")

    kernel.restore()

    assert setting.read_text() == "0"


def test_a_folder_that_one_cluster_made_is_removed_by_whichever_goes_last(
    monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path
) -> None:
    made, found = tmp_path / "made", tmp_path / "found"
    found.mkdir()
    monkeypatch.setattr(mounts, "_CREATED", shared / "created-folders.json")
    monkeypatch.setattr(mounts, "_COVERED", (str(made), str(found)))
    for name in ("a", "b"):
        be(monkeypatch, name)
        machine.join()
        mounts._create_folders()

    be(monkeypatch, "a")
    machine.leave(mounts.remove_private)
    assert made.exists()

    be(monkeypatch, "b")
    machine.leave(mounts.remove_private)
    assert not made.exists()
    assert found.exists()


def test_the_programs_of_one_cluster_are_not_those_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PROCESSES", "LOGS"):
        monkeypatch.setattr(paths, name, tmp_path)
    be(monkeypatch, "unit-a")
    pid = processes.start("waits", ["sleep", "60"])
    try:
        assert pid in processes.marked()
        be(monkeypatch, "unit-b")
        assert pid not in processes.marked()
    finally:
        processes.kill("waits")


def test_two_clusters_that_need_the_same_build_make_it_once(tmp_path: Path) -> None:
    made: list[Path] = []
    both_want_it = threading.Barrier(2)

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "whole").touch()

    def want() -> None:
        both_want_it.wait(5)
        artifact.ensure(tmp_path / "thing-1", "thing", "", make)

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(made) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["thing-1"]


def test_a_lock_excludes_others_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with lock.held(path, "somebody"):
            order.append("second")

    thread = threading.Thread(target=second)
    with lock.held(path, "somebody"):
        thread.start()
        assert waits.wait(5)
        thread.join(0.2)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]
    assert not path.exists()
