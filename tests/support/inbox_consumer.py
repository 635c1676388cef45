"""A consumer as a process of its own, to be killed: writes what it processes into the table effects.

python -m tests.support.inbox_consumer '{"uri": …, "servers": …, "topic": …, "group": …, "member": …, "seed": 1}'
"""

from __future__ import annotations

import json
import logging
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from outboxrelay import inbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUMBER = "number"
"""The header in which events of a key are numbered."""
EFFECTS = (
    "CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text NOT NULL, "
    "key text NOT NULL, number integer NOT NULL, member text NOT NULL)"
)
"""No unique key: what is processed twice shall be seen."""
HANDLER_FAILS = 0.01


class Sessions:
    """One session that is opened again when it was lost."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._conn: psycopg.Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[psycopg.Connection]:
        """A transaction."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self._uri, application_name="inbox-consumer")
        with self._conn.transaction():
            yield self._conn


def main(options: dict[str, Any]) -> None:
    """Until SIGTERM; a partition that stops ends the process, loudly."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    draw = random.Random(f"{options['seed']} {options['member']} {time.time_ns()}")
    settings = {
        "bootstrap.servers": options["servers"],
        "group.id": options["group"],
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": options["strategy"],
        "fetch.wait.max.ms": 20,
        "log_level": 2,
    }
    if options["static"]:
        settings["group.instance.id"] = options["member"]

    def handle(conn: psycopg.Connection, event: inbox.Event) -> None:
        row = (event.id, event.key, event.json()["number"], options["member"])
        conn.execute("INSERT INTO effects (event_id, key, number, member) VALUES (%s, %s, %s, %s)", row)
        time.sleep(draw.random() * 0.004)
        if draw.random() < HANDLER_FAILS:
            raise RuntimeError("the handler fails now and then")

    def stopped(error: inbox.InboxError) -> None:
        print(f"STOPPED {error}", flush=True)
        worker.stop()

    worker = inbox.Worker(
        inbox.client(settings),
        [options["topic"]],
        name="shipping",
        begin=Sessions(options["uri"]).begin,
        handler=handle,
        retry=inbox.Retry(attempts=8, first_seconds=0.02, most_seconds=0.5),
        sequence_header=NUMBER,
        on_stopped=stopped,
        batch=20,
        poll_seconds=0.1,
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
    sys.exit(3 if worker.stopped else 0)


class ConsumerProcess:
    """Starts it, and ends it."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.member = str(options["member"])
        self._options = options
        self._log = folder / f"{self.member}.log"
        self._one_at_a_time = threading.Lock()
        """Faults overlap: without it two of them would start a process each, and one would be forgotten."""
        self._is_over = False
        self._start()

    def _start(self) -> None:
        if self._is_over:
            return
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "tests.support.inbox_consumer", json.dumps(self._options)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill_and_restart(self) -> None:
        """kill -9, and another one in its place."""
        with self._one_at_a_time:
            self.process.kill()
            self.process.wait()
            self._start()

    def restart(self) -> None:
        """End it in order, and another one in its place."""
        with self._one_at_a_time:
            self._end()
            self._start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing where the process has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def problem(self) -> str | None:
        """That it ended by itself, and what it said."""
        code = self.process.poll()
        return None if code is None else f"{self.member} ended with {code}: {self._log.read_text()[-800:]}"

    def close(self) -> None:
        """kill -9, and never another one; at once, as this is also what Ctrl-C leads to."""
        self._is_over = True
        with self._one_at_a_time:
            self.process.kill()
            self.process.wait()

    def _end(self) -> None:
        """SIGTERM, and SIGKILL where that takes too long."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
