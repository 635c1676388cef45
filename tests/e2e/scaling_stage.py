"""What a story of the autoscaler is played on: a relay behind a link of its own, an oracle, and a diary of its pods."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.cluster import paths
from tests.support.kubectl import Object
from tests.support.line import Line
from tests.support.oracle import Oracle
from tests.support.scaling_diary import SENTENCE, ScalingDiary, scaling_diary
from tests.support.slow_link import SlowLink, slow_link
from tests.support.stand import Stand
from tests.support.waiting import until

KEYS = 1000
STEPS = {"ScaledUp", "ScaledDown", "ScaleReverted"}


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a story needs."""

    stand: Stand
    line: Line
    link: SlowLink
    oracle: Oracle
    diary: ScalingDiary

    async def make_late(self) -> None:
        """Rows that are inserted from now on have waited for longer than they may: how many pods they are worth does
        not depend on how fast the test is."""
        long_ago = "ALTER created_at SET DEFAULT now() - interval '10 minutes'"
        await self.stand.sql(f"ALTER TABLE {self.line.table.qualified} {long_ago}")

    async def wait_pods(self, numbers: Sequence[int], deadline: float) -> None:
        """Wait until the Deployment has asked for these numbers of pods, one after the other; any other fails."""

        async def there() -> bool:
            assert self.diary.pods == list(numbers[: len(self.diary.pods)]), self.diary.table()
            return self.diary.pods == list(numbers)

        await until(there, f"course of pods {list(numbers)}", deadline, last=self.diary.table)

    async def wait_more(self, than: int, deadline: float) -> None:
        """Wait until more pods are asked for."""

        async def more() -> bool:
            return self.diary.pods[-1] > than

        await until(more, f"step beyond {than} pods", deadline, last=self.diary.table)

    async def wait_back(self, deadline: float) -> None:
        """Wait until there is one pod again."""

        async def back() -> bool:
            return len(self.diary.pods) > 1 and self.diary.pods[-1] == 1

        await until(back, "single pod", deadline, every=1, last=self.diary.table)

    async def wait_why(self, why: str, deadline: float) -> None:
        """Wait until ScalingActive has this status and reason."""

        async def said() -> bool:
            return self.diary.why == why

        await until(said, f"ScalingActive {why}", deadline, last=self.diary.table)

    async def wait_all_ready(self, deadline: float = 60) -> None:
        """Wait until as many pods are ready as are asked for."""

        async def ready() -> bool:
            return self.diary.ready[-1][1] == self.diary.pods[-1]

        await until(ready, "pods that were asked for", deadline, last=self.diary.table)

    async def steps(self) -> list[Object]:
        """The Events of steps, in the order of the course of pods."""
        numbers = list(pairwise(self.diary.pods))
        found = [event for event in await self.line.events() if event["reason"] in STEPS]
        return sorted(found, key=lambda event: (event["firstTimestamp"], numbers.index(between(event["message"]))))

    async def explained(self) -> str:
        """What `outboxrelay explain` prints."""
        command = [sys.executable, "-m", "outboxrelay", "explain", self.line.name, "-n", self.line.kubectl.namespace]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, out.decode()
        return out.decode()


@asynccontextmanager
async def stage(stand: Stand, *, delay: float = 0.0, bytes_per_second: float | None = None) -> AsyncIterator[Stage]:
    """A line whose relay and operator reach the database through a slow link; nothing is applied yet."""
    line = await stand.line()
    async with (
        slow_link(stand.uri, paths.NODE_IP, delay=delay, bytes_per_second=bytes_per_second) as link,
        line.oracle(keys=KEYS) as oracle,
        scaling_diary(line) as diary,
    ):
        secret: Any = stand.secret(line)
        secret["stringData"]["uri"] = link.through(secret["stringData"]["uri"])
        await stand.kubectl.apply(secret)
        try:
            yield Stage(stand, line, link, oracle, diary)
        finally:
            print(f"\n{diary.table()}")
            # Whoever talks through the link goes before it does.
            await line.kubectl.run("delete", "outboxrelay", line.name, "--ignore-not-found", "--wait=false")


def between(message: str) -> tuple[int, int]:
    """From how many to how many pods the Event of a step says that it goes; its other numbers are there too."""
    found = SENTENCE.fullmatch(message)
    assert found is not None, message
    return int(found["before"]), int(found["after"])
