"""Faults of a relay's pod that come from the network around it: who asks it gets no answer, and it works on."""

import asyncio
from typing import Any

from outboxrelay.api.names import LABEL_RELAY
from tests.e2e.timed_faults import Scene, Step
from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.pod_ways import Way
from tests.support.release import is_ready
from tests.support.waiting import until


async def hide_from_operator(scene: Scene, line: Line) -> None:
    """The operator's questions to the pod are lost."""
    await _hide(scene, line, Way.PODS)


async def show_again(scene: Scene, line: Line) -> None:
    """All questions get through."""
    await asyncio.to_thread(scene.ways.restore, line.name)


def start_unseen(spec: dict[str, Any]) -> Step:
    """The relay gets ``spec`` and with it its first pod, whose answers the kubelet never sees: it is never ready."""

    async def step(scene: Scene, line: Line) -> None:
        await line.apply(**spec)
        await _hide(scene, line, Way.NODE)
        assert not is_ready(await _pod(scene, line)), "the pod was ready before it could be hidden"

    return step


async def _hide(scene: Scene, line: Line, way: Way) -> None:
    pod = await _pod(scene, line)
    await asyncio.to_thread(scene.ways.cut, line.name, way, pod["status"]["podIP"])


async def _pod(scene: Scene, line: Line) -> Object:
    """The relay's pod, as soon as it has an address."""

    async def probe() -> Object | None:
        found = await scene.stand.kubectl.list("pods", f"{LABEL_RELAY}={line.name}")
        return next((pod for pod in found if pod["status"].get("podIP")), None)

    return await until(probe, f"address of the pod of {line.name}", 60, every=0.1)
