"""The real kubectl, as users run it."""

import asyncio
import json
from typing import Any, NamedTuple

Object = dict[str, Any]


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    error: str


class Kubectl:
    """kubectl in one namespace."""

    def __init__(self, namespace: str, context: str | None = None) -> None:
        self.namespace = namespace
        self._context = ["--context", context] if context else []

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return ["kubectl", *self._context, "-n", self.namespace, "--request-timeout=20s", *arguments]

    async def attempt(self, *arguments: str, stdin: str | None = None, deadline: float = 90) -> Outcome:
        """Run it, whatever comes of it."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline):
                out, error = await process.communicate((stdin or "").encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"hung for {deadline:.0f} s: kubectl {' '.join(arguments)}") from None
        return Outcome(process.returncode or 0, out.decode(), error.decode())

    async def run(self, *arguments: str, stdin: str | None = None, deadline: float = 90) -> str:
        """Run it; it must succeed."""
        outcome = await self.attempt(*arguments, stdin=stdin, deadline=deadline)
        assert outcome.code == 0, f"kubectl {' '.join(arguments)}: {outcome.error.strip()}"
        return outcome.out

    async def apply(self, *objects: Object) -> str:
        """kubectl apply of these objects."""
        return await self.run("apply", "-f", "-", stdin=json.dumps(as_list(objects)))

    async def get(self, kind: str, name: str) -> Object:
        """One object; it must exist."""
        found: Object = json.loads(await self.run("get", kind, name, "-o", "json"))
        return found

    async def find(self, kind: str, name: str) -> Object | None:
        """One object, or None where it does not exist."""
        found = await self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found.strip() else None

    async def list(self, kind: str, selector: str = "") -> list[Object]:
        """The objects of a kind."""
        found: list[Object] = json.loads(await self.run("get", kind, "-l", selector, "-o", "json"))["items"]
        return found


def as_list(objects: tuple[Object, ...]) -> Object:
    """Several objects as one that kubectl takes."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}
