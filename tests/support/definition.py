"""The CustomResourceDefinition without the chart, for tests that need only the API server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from .kubectl import Kubectl

FILE = "crds/outboxrelays.yaml"
KIND = "customresourcedefinition/outboxrelays.outboxrelay.dev"


@contextmanager
def installed(kubectl: Kubectl) -> Iterator[None]:
    """The definition as it is committed; one that was not there before goes again.

    Left alone it would be in the way of Helm, which takes over no definition that it did not install.
    """
    was_there = _run(kubectl, "get", KIND).returncode == 0
    _must(kubectl, "apply", "--server-side", "--force-conflicts", "-f", FILE)
    # Until there are conditions at all, kubectl wait fails instead of waiting.
    _must(kubectl, "wait", "--for=jsonpath={.status.conditions}", KIND)
    _must(kubectl, "wait", "--for=condition=Established", KIND)
    try:
        yield
    finally:
        if not was_there:
            _must(kubectl, "delete", KIND)


def _must(kubectl: Kubectl, *arguments: str) -> None:
    done = _run(kubectl, *arguments)
    assert done.returncode == 0, done.stderr


def _run(kubectl: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(kubectl.command(*arguments), capture_output=True, text=True, check=False, timeout=90)
