"""What several integration tests stand on."""

from collections.abc import Iterator

import pytest

from tests.support import definition
from tests.support.kubectl import Kubectl
from tests.support.rig import Rig


@pytest.fixture(scope="module")
def outboxrelays() -> Iterator[None]:
    """An API server that knows OutboxRelays while the tests of a module run."""
    with definition.installed(Kubectl("default", Rig.from_environment().context)):
        yield
