"""The OutboxRelays that a command is about, read from the cluster."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from outboxrelay.cli.options import NAMESPACE
from outboxrelay.errors import ClusterFault, InvalidInput
from outboxrelay.manifests.kinds import RELAY

if TYPE_CHECKING:
    from outboxrelay.adapters.kube_objects import KubeObjects

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Scope:
    """Which relays of which cluster."""

    namespace: str | None
    everywhere: bool
    selector: str
    context: str | None
    kubeconfig: str | None

    def check(self) -> None:
        """Raises InvalidInput for what no API server need be asked about."""
        if self.namespace and self.everywhere:
            raise InvalidInput("--namespace and --all-namespaces exclude each other")
        if self.namespace is not None and not NAMESPACE.fullmatch(self.namespace):
            raise InvalidInput(f"--namespace: {self.namespace!r} is not the name of a namespace")


class Relays:
    """Lists the relays of a scope. After a failure it reads the kubeconfig again: a token may have run out."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._open = AsyncExitStack()
        self._objects: KubeObjects | None = None
        self.namespace: str | None = None
        """The one that is listed, once something was; None stands for all."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def list(self) -> list[dict[str, Any]]:
        """The objects, from the API server's memory; raises ClusterFault, CannotRun or InvalidInput."""
        try:
            objects = await self._connected()
            bodies, _ = await objects.list(RELAY, self.namespace, selector=self._scope.selector, cached=True)
        except ClusterFault as fault:
            await self._open.aclose()
            self._objects = None
            if fault.status == NOT_FOUND:
                message = "the cluster knows no OutboxRelay: install the operator, or give --context"
                raise ClusterFault(fault.status, fault.reason, message) from None
            raise
        return bodies

    async def _connected(self) -> "KubeObjects":
        if self._objects is None:
            # What it imports takes time that the other commands need not spend.
            from outboxrelay.adapters.kube import default_namespace, open_client
            from outboxrelay.adapters.kube_objects import KubeObjects

            place = {"kubeconfig": self._scope.kubeconfig, "context": self._scope.context}
            self.namespace = None if self._scope.everywhere else self._scope.namespace or default_namespace(**place)
            client = await self._open.enter_async_context(open_client(**place, user_agent="outboxrelay-cli"))
            self._objects = KubeObjects(client)
        return self._objects


async def list_once(scope: Scope) -> list[dict[str, Any]]:
    """The relays of ``scope``; raises ClusterFault, CannotRun or InvalidInput."""
    async with Relays(scope) as relays:
        return await relays.list()
