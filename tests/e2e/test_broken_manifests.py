"""Whatever is written into a manifest: whoever wrote it is told where it is wrong, and nobody else notices."""

import asyncio
import json

from tests.e2e.broken_manifests import REFUSED, TAKEN, Broken
from tests.support.line import Line, identities, told
from tests.support.release import Operator
from tests.support.stand import Stand
from tests.support.waiting import until


async def refusal(stand: Stand, broken: Broken, slots: asyncio.Semaphore) -> str:
    """What kubectl apply says; empty where the API server takes it."""
    async with slots:
        text = json.dumps(broken.manifest())
        outcome = await stand.kubectl.attempt("apply", "--dry-run=server", "-f", "-", stdin=text)
    return outcome.error if outcome.code else ""


async def test_broken_manifests_are_refused_with_the_field_in_the_message(stand: Stand) -> None:
    slots = asyncio.Semaphore(4)
    said = await asyncio.gather(*(refusal(stand, broken, slots) for broken in REFUSED))
    wrong = [
        f"{broken.name}: {text.strip() or 'was taken'}"
        for broken, text in zip(REFUSED, said, strict=True)
        if not text or any(word not in text for word in broken.words)
    ]
    assert wrong == [], "\n".join(wrong)
    assert len(REFUSED) >= 30


async def test_what_the_api_server_cannot_see_is_refused_in_the_status_and_disturbs_nobody(
    stand: Stand, operator: Operator
) -> None:
    healthy = await stand.line("healthy")
    async with healthy.oracle(keys=20) as oracle:
        await healthy.start()
        pods, restarts = identities(await healthy.wait_pods(1)), await operator.restarts()
        async with oracle.writer.writing(per_second=100):
            for broken in TAKEN:
                await start_broken(stand, healthy, broken)
            said = await asyncio.gather(*(rejection(stand, broken) for broken in TAKEN))
        result = await oracle.verdict()
        await healthy.wait_ready()
    wrong = [
        f"{broken.name}: {text}"
        for broken, text in zip(TAKEN, said, strict=True)
        if any(word not in text for word in broken.words)
    ]
    assert wrong == [], "\n".join(wrong)
    assert result.passed, result.report()
    assert identities(await healthy.wait_pods(1)) == pods
    assert await operator.restarts() == restarts
    assert await stand.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 2 + len(TAKEN)


async def start_broken(stand: Stand, healthy: Line, broken: Broken) -> None:
    """Apply it beside the healthy relay, on the same database, with a table of its own that exists."""
    spare = f"spare_{broken.name.replace('-', '_')}"
    await stand.sql(
        f"CREATE TABLE {spare} (LIKE outbox INCLUDING ALL)", f"GRANT SELECT, DELETE ON {spare} TO {healthy.role}"
    )
    base = {
        "metadata": {"name": broken.name, "namespace": stand.name},
        "spec": {
            "source": {
                "database": {"uriSecretRef": {"name": healthy.secret, "key": "uri"}},
                "table": {"name": spare},
            },
            "target": {
                "bootstrapServers": healthy.servers.split(","),
                "topic": healthy.topic,
                "protocol": "PLAINTEXT",
            },
        },
    }
    await stand.kubectl.apply(broken.manifest(**base))


async def rejection(stand: Stand, broken: Broken) -> str:
    """The message of Accepted=False."""
    seen: dict[str, dict[str, str]] = {}

    async def probe() -> str:
        relay = await stand.kubectl.get("outboxrelays", broken.name)
        seen.update({item["type"]: item for item in relay.get("status", {}).get("conditions", [])})
        accepted = seen.get("Accepted", {})
        return accepted["message"] if accepted.get("status") == "False" else ""

    try:
        return await until(probe, f"{broken.name} with Accepted=False", 60, every=1, last=lambda: told(seen))
    except AssertionError as error:
        return str(error)
