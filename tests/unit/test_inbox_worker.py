"""The inbox's worker on a client and a database of the test's own: what it processes, holds, commits and tells."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg.rows  # noqa: F401 - who has a session of it has it loaded
import pytest
from confluent_kafka import KafkaError, KafkaException

from outboxrelay import inbox
from outboxrelay.inbox.partitions import Partitions
from outboxrelay.outbox import NotInTransaction

PLACE = ("t", 0)


def own(offset: int) -> list[tuple[str, bytes | None]]:
    return [("id", f"e{offset}".encode())]


class Message:
    """One message of partition 0."""

    def __init__(self, offset: int, headers: list[tuple[str, bytes | None]] | None = None, error: Any = None) -> None:
        self._offset, self._error = offset, error
        self._headers = headers if headers is not None else own(offset)

    def topic(self) -> str:
        return PLACE[0]

    def partition(self) -> int:
        return PLACE[1]

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"{}"

    def headers(self) -> list[tuple[str, bytes | None]]:
        return self._headers

    def error(self) -> Any:
        return self._error


class Client:
    """A consumer of one partition; each call of consume gives what is left from its position."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages, self.position, self.paused, self.closed = messages, 0, False, False
        self.committed: list[int] = []
        self.refused = 0
        """Commits that fail from now on."""
        self.between: Callable[[], None] = lambda: None
        """Called in each consume."""

    def subscribe(self, _: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.revoke = lambda: on_revoke(self, [self])
        self.lose = lambda: on_lost(self, [self])
        on_assign(self, [self])

    topic, partition = PLACE

    def consume(self, count: int, _: float) -> Sequence[Message]:
        found = [] if self.paused else self.messages[self.position : self.position + count]
        self.position += len(found)
        self.between()
        return found

    def pause(self, _: Any) -> None:
        self.paused = True

    def resume(self, _: Any) -> None:
        self.paused = False

    def seek(self, place: Any) -> None:
        self.position = place.offset

    def commit(self, offsets: list[Any], asynchronous: bool) -> None:
        assert not asynchronous
        if self.refused:
            self.refused -= 1
            raise KafkaException(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
        self.committed.append(offsets[0].offset)

    def close(self) -> None:
        self.closed = True


class Database:
    """Stands for psycopg: remembers accepted ids, and undoes them on rollback."""

    __module__ = "psycopg"

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.broken = 0
        """Transactions that cannot begin."""
        self.autocommit = False

    @contextmanager
    def begin(self) -> Iterator["Database"]:
        if self.broken:
            self.broken -= 1
            raise OSError("the database is away")
        before = list(self.accepted)
        try:
            yield self
        except BaseException:
            self.accepted = before
            raise

    @contextmanager
    def cursor(self, **_: Any) -> Iterator["Database"]:
        yield self

    def execute(self, _: str, values: list[str]) -> None:
        self.new = values[0] not in self.accepted
        if self.new:
            self.accepted.append(values[0])

    def fetchone(self) -> tuple[bool]:
        return (self.new,)


class Bench:
    """A worker, its client and its database."""

    def __init__(self, messages: Sequence[Message], handler: Any = None, **options: Any) -> None:
        self.client, self.database = Client(messages), Database()
        self.done: list[str] = []
        self.told: list[inbox.InboxError] = []
        self.worker = inbox.Worker(
            self.client,
            ["t"],
            name="c",
            begin=self.database.begin,
            handler=handler or (lambda _, event: self.done.append(event.id)),
            on_stopped=self.told.append,
            retry=options.pop("retry", inbox.Retry(attempts=3, first_seconds=0.0, most_seconds=0.0)),
            **options,
        )

    def run(self, polls: int = 10) -> None:
        """So many polls, and the end."""
        left = iter(range(polls))
        before = self.client.between

        def count() -> None:
            before()
            if next(left, None) is None:
                self.worker.stop()

        self.client.between = count
        self.worker.run()


def test_offsets_are_committed_after_what_was_processed_and_the_client_is_closed() -> None:
    bench = Bench([Message(0), Message(1), Message(2)], batch=2)
    bench.run()
    assert (bench.done, bench.client.committed, bench.client.closed) == (["e0", "e1", "e2"], [2, 3], True)


def test_a_repeat_is_dropped_and_its_offset_committed() -> None:
    bench = Bench([Message(0), Message(1, [("id", b"e0")]), Message(2)])
    bench.run()
    assert (bench.done, bench.client.committed) == (["e0", "e2"], [3])


def test_offsets_that_were_refused_are_committed_with_the_next() -> None:
    bench = Bench([Message(0)])
    bench.client.refused = 2
    bench.run()
    assert bench.client.committed == [1]


def test_a_failure_is_tried_again_at_its_event_and_nothing_overtakes() -> None:
    failures = iter([True, True])

    def handle(_: Any, event: inbox.Event) -> None:
        if event.id == "e1" and next(failures, False):
            raise ValueError("not now")
        bench.done.append(event.id)

    bench = Bench([Message(0), Message(1), Message(2)], handle)
    bench.run()
    assert bench.done == ["e0", "e1", "e2"]
    assert bench.told == []


def test_a_handler_that_always_fails_stops_the_partition_and_says_where_and_why() -> None:
    def handle(_: Any, event: inbox.Event) -> None:
        if event.id == "e1":
            raise ValueError("poison")
        bench.done.append(event.id)

    bench = Bench([Message(0), Message(1), Message(2)], handle)
    bench.run()
    assert (bench.done, bench.client.committed, bench.database.accepted) == (["e0"], [1], ["e0"])
    assert "stopped at offset 1, event e1 after 3 attempts: ValueError: poison" in str(bench.told[0])
    assert bench.worker.stopped == bench.told


def test_a_database_that_is_away_is_waited_for_however_long() -> None:
    bench = Bench([Message(0)])
    bench.database.broken = 50
    bench.run(polls=100)
    assert (bench.done, bench.told) == (["e0"], [])


def test_a_session_that_commits_by_itself_ends_the_worker() -> None:
    bench = Bench([Message(0)])
    bench.database.autocommit = True
    bench.database.info = type("Info", (), {"transaction_status": 0})  # type: ignore[attr-defined]
    with pytest.raises(NotInTransaction):
        bench.run()
    assert bench.client.closed


@pytest.mark.parametrize("how", ["revoke", "lose"])
def test_messages_of_a_partition_that_is_gone_are_left_to_its_new_owner(how: str) -> None:
    bench = Bench([Message(0)])
    bench.client.between = lambda: getattr(bench.client, how)()
    bench.run()
    assert (bench.done, bench.client.committed) == ([], [])


def test_a_message_without_an_id_stops_the_partition() -> None:
    bench = Bench([Message(0, [])])
    bench.run()
    assert "no header id" in str(bench.told[0])


def test_an_error_of_the_client_that_is_fatal_ends_the_worker_and_another_does_not() -> None:
    bench = Bench([Message(0, error=KafkaError(KafkaError._TRANSPORT)), Message(1)])
    bench.run()
    assert bench.done == ["e1"]
    bench = Bench([Message(0, error=KafkaError(KafkaError._FATAL, "fenced", fatal=True))])
    with pytest.raises(inbox.ConsumerFailed, match="fenced"):
        bench.run()


def test_a_header_that_is_no_number_is_named() -> None:
    event = inbox.event_of(Message(0, [("id", b"e"), ("n", b"x")]))
    with pytest.raises(inbox.NotAnEvent, match="'x' as header n"):
        event.number("n")
    with pytest.raises(inbox.NotAnEvent, match="has no header m"):
        event.number("m")


def test_the_relays_own_headers_come_last_and_win() -> None:
    event = inbox.event_of(Message(7, [("id", b"mine"), ("type", b"T"), ("id", b"e")]))
    assert (event.id, event.type, event.key, event.json(), event.offset) == ("e", "T", "k", {}, 7)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "group.id is missing"),
        ({"group.id": "g", "enable.auto.commit": True}, "enable.auto.commit must be left out"),
    ],
)
def test_settings_that_would_lose_events_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(inbox.InvalidSettings, match=words):
        inbox.settings_of(settings)


def test_a_new_group_begins_at_the_beginning() -> None:
    assert inbox.settings_of({"group.id": "g"})["auto.offset.reset"] == "earliest"
    assert inbox.settings_of({"group.id": "g", "auto.offset.reset": "error"})["auto.offset.reset"] == "error"


def test_waits_double_up_to_the_most() -> None:
    retry = inbox.Retry(attempts=3, first_seconds=1, most_seconds=5)
    assert [retry.wait(failed) for failed in (1, 2, 3, 4, 2000)] == [1, 2, 4, 5, 5]
    assert [retry.gives_up(failed) for failed in (2, 3)] == [False, True]
    with pytest.raises(ValueError, match="attempts"):
        inbox.Retry(attempts=0)


def test_a_partition_that_comes_back_begins_anew() -> None:
    partitions = Partitions()
    partitions.add([PLACE])
    one = partitions.get(PLACE)
    assert one is not None
    one.stopped = inbox.PartitionStopped(PLACE, 0, "e", ValueError(), 1)
    partitions.remove([PLACE])
    partitions.put_back({PLACE: 5})
    partitions.add([PLACE])
    assert (partitions.stopped, partitions.take_done()) == ([], {})
