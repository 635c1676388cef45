"""outboxrelay check: whether the operator works, asked of its pods. `helm test` runs it."""

import asyncio
import json
import time
from collections.abc import Mapping

import click

from outboxrelay.cli import cli
from outboxrelay.cli.options import Number, Seconds
from outboxrelay.cli.options import output as output_option
from outboxrelay.errors import CannotRun

LEADING, STANDING_BY = "leading", "standing by"
QUESTION_SECONDS = 3.0
PAUSE_SECONDS = 1.0
EPILOG = """\b
Examples:
  outboxrelay check --host outbox-relay-operator.outboxrelay --replicas 2
  outboxrelay check --host localhost --port 8080 -o json
"""


@cli.command("check", short_help="Tell whether the operator works.", epilog=EPILOG)
@click.option("--host", metavar="NAME", required=True, help="Name or address of the operator's pods.")
@click.option("--port", type=Number(1, 65535), default=8080, show_default=True, help="Their port.")
@click.option("--replicas", type=Number(1, 100), default=1, show_default=True, help="How many there must be at least.")
@click.option("--timeout", type=Seconds(1, 600), default=60.0, show_default=True, help="How long to wait for that.")
@output_option("text", "json")
def check(host: str, port: int, replicas: int, timeout: float, output: str) -> None:
    """Ask every pod of the operator whether it is ready, until one leads and the others stand by.

    One that leads holds the Lease, can list OutboxRelays and what belongs to them, and watches them. Where the pods are
    is told by the headless Service of the chart. Neither the Kubernetes API nor any database or broker is asked.
    """
    answers = asyncio.run(_wait(host, port, replicas, timeout))
    if output == "json":
        click.echo(json.dumps(answers, indent=2))
    else:
        for address, answer in answers.items():
            click.echo(f"{address}: {answer}")


def complaint(answers: Mapping[str, str], replicas: int) -> str:
    """What is wrong with these answers of pods by address; empty where nothing is."""
    for address, answer in answers.items():
        if answer not in (LEADING, STANDING_BY):
            return f"{address}: {answer}"
    if len(answers) < replicas:
        return f"{len(answers)} of {replicas} pods are ready; see `kubectl get pods` and their logs"
    leaders = [address for address, answer in answers.items() if answer == LEADING]
    if len(leaders) != 1:
        return f"{' and '.join(leaders) or 'no pod'} {'lead' if leaders else 'leads'}; exactly one must hold the Lease"
    return ""


async def _wait(host: str, port: int, replicas: int, seconds: float) -> Mapping[str, str]:
    """The answers when they are as they should be; raises CannotRun when they were not within ``seconds``."""
    # Deferred: other commands need not spend the time of this import.
    from outboxrelay.adapters.readiness_client import readiness

    deadline = time.monotonic() + seconds
    while True:
        answers = await readiness(host, port, QUESTION_SECONDS)
        wrong = complaint(answers, replicas)
        if not wrong:
            return answers
        if time.monotonic() >= deadline:
            raise CannotRun(f"the operator at {host}:{port} does not work after {seconds:g} s: {wrong}")
        await asyncio.sleep(PAUSE_SECONDS)
