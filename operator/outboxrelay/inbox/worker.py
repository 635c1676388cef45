"""The loop: poll, begin, accept, handle, commit; then commit the offsets.

Each event has a transaction of its own. Offsets are committed after it, so an event may come again, and is dropped by
its id. Workers of one group whose assignments overlap for a moment do no harm: each goes through a partition in the
order of offsets, and at an event that another has accepted it waits for that one's transaction. So nobody is at the
second event of a key before the first is processed, whoever did it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from outboxrelay.inbox.accepting import accept_sync, missed_sync
from outboxrelay.inbox.errors import ConsumerFailed, InboxError, NotAnEvent, PartitionStopped, SequenceGap
from outboxrelay.inbox.events import Event, event_of
from outboxrelay.inbox.partitions import Partition, Partitions, Place
from outboxrelay.inbox.policy import Retry
from outboxrelay.outbox.errors import NotInTransaction, UnknownConnection

LOG = logging.getLogger("outboxrelay.inbox")
Handler = Callable[[Any, Event], object]
Begin = Callable[[], AbstractContextManager[Any]]
Report = Callable[[InboxError], object]


class _HandlerFailed(Exception):
    """The handler raised; ``__cause__`` is what."""


class Worker:
    """Processes the events of ``topics``, each once, under the consumer's ``name``.

    ``begin()`` gives a context manager that begins a transaction, gives its session, and commits or rolls back:
    ``engine.begin``, ``lambda: psycopg.connect(URI)``, a pool's ``connection``. ``handler(conn, event)`` works in it.
    Where the handler raises, the transaction is rolled back and tried again as ``retry`` says, while other partitions
    go on; then the partition stops, and ``on_stopped`` is told (by default it is logged). Failures of the database
    outside the handler are tried again for ever.

    ``sequence_header`` names a header in which the producer numbers the events of each key 1, 2, 3 …: ``on_gap`` says
    whether a partition stops where numbers are missing, or they are only reported (to ``on_stopped``).
    """

    def __init__(
        self,
        client: Any,
        topics: Sequence[str],
        *,
        name: str,
        begin: Begin,
        handler: Handler,
        retry: Retry | None = None,
        sequence_header: str | None = None,
        on_gap: Literal["stop", "report"] = "stop",
        on_stopped: Report | None = None,
        batch: int = 100,
        poll_seconds: float = 0.5,
    ) -> None:
        self._client, self._topics, self._name = client, list(topics), name
        self._begin, self._handler, self._retry = begin, handler, retry or Retry()
        self._sequence_header, self._stops_at_gap = sequence_header, on_gap == "stop"
        self._tell: Report = on_stopped or (lambda error: LOG.error("%s", error))
        self._batch, self._poll_seconds = batch, poll_seconds
        self._partitions = Partitions()
        self._stop = threading.Event()

    @property
    def stopped(self) -> list[PartitionStopped]:
        """The partitions that wait at an event which cannot be processed, and why."""
        return self._partitions.stopped

    def stop(self) -> None:
        """Let run() return after the event that is being processed; from any thread or a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Until stop(). Closes the client.

        Raises ConsumerFailed and confluent_kafka.KafkaException where the Kafka client cannot go on, and
        outboxrelay.outbox.NotInTransaction or UnknownConnection where ``begin`` gives what cannot be used. Whatever it
        raises: started again, it goes on where it was.
        """
        self._client.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not self._stop.is_set():
                self._resume_due()
                self._process(self._client.consume(self._batch, self._poll_seconds))
        finally:
            self._client.close()

    def _process(self, messages: Sequence[Any]) -> None:
        try:
            for message in messages:
                if self._stop.is_set():
                    return
                self._take(message)
        finally:
            self._commit_offsets()

    def _take(self, message: Any) -> None:
        if (error := message.error()) is not None:
            if error.fatal():
                raise ConsumerFailed(f"the Kafka client cannot go on: {error.str()}")
            LOG.warning("Kafka: %s", error.str())
            return
        place, offset = (message.topic(), message.partition()), message.offset()
        partition = self._partitions.get(place)
        # Not assigned any more, or fetched before the partition was set back to an event that failed.
        if partition is None or partition.is_held:
            return
        try:
            self._once(event_of(message))
        except (NotAnEvent, SequenceGap) as wrong:
            self._stop_at(message, partition, wrong, 1)
        except _HandlerFailed as failure:
            partition.failed += 1
            cause = failure.__cause__ or failure
            if self._retry.gives_up(partition.failed):
                self._stop_at(message, partition, cause, partition.failed)
            else:
                self._try_again(place, offset, partition, cause)
        except (NotInTransaction, UnknownConnection):
            raise
        except Exception as trouble:  # noqa: BLE001 - drivers have no common class for what a database does
            self._try_again(place, offset, partition, trouble)
        else:
            partition.done, partition.failed, partition.troubled = offset + 1, 0, 0

    def _once(self, event: Event) -> None:
        gap: SequenceGap | None = None
        with self._begin() as conn:
            if accept_sync(conn, event.id, self._name):
                gap = self._gap(conn, event)
                if gap is not None and self._stops_at_gap:
                    raise gap
                try:
                    self._handler(conn, event)
                except Exception as error:
                    raise _HandlerFailed from error
        if gap is not None:
            self._tell(gap)

    def _gap(self, conn: Any, event: Event) -> SequenceGap | None:
        if self._sequence_header is None or event.key is None:
            return None
        number = event.number(self._sequence_header)
        missing = missed_sync(conn, self._name, event.key, number)
        return SequenceGap(event.key, number, missing, self._sequence_header) if missing else None

    def _try_again(self, place: Place, offset: int, partition: Partition, error: BaseException) -> None:
        partition.troubled += 1
        seconds = self._retry.wait(partition.troubled)
        partition.due = time.monotonic() + seconds
        what = f"{type(error).__name__}: {error}"
        LOG.warning("partition %d of %s, offset %d: again in %.1f s: %s", place[1], place[0], offset, seconds, what)
        self._hold(place, offset)

    def _stop_at(self, message: Any, partition: Partition, error: BaseException, attempts: int) -> None:
        place, offset = (message.topic(), message.partition()), message.offset()
        headers = dict(message.headers() or [])
        event_id = (headers.get("id") or b"").decode(errors="replace")
        partition.stopped = PartitionStopped(place, offset, event_id, error, attempts)
        self._hold(place, offset)
        self._tell(partition.stopped)

    def _hold(self, place: Place, offset: int) -> None:
        """No more of this partition for now, and this event first when it goes on."""
        self._client.pause([_at(place)])
        self._client.seek(_at(place, offset))

    def _resume_due(self) -> None:
        if due := self._partitions.take_due(time.monotonic()):
            self._client.resume([_at(place) for place in due])

    def _commit_offsets(self) -> None:
        if not (done := self._partitions.take_done()):
            return
        try:
            self._client.commit(offsets=[_at(place, offset) for place, offset in done.items()], asynchronous=False)
        except Exception as error:  # noqa: BLE001 - as while the group rebalances; repeats are dropped by their ids
            self._partitions.put_back(done)
            LOG.warning("offsets were not committed, and will be with the next: %s", error)

    def _assigned(self, _: Any, partitions: Sequence[Any]) -> None:
        self._partitions.add((one.topic, one.partition) for one in partitions)

    def _revoked(self, _: Any, partitions: Sequence[Any]) -> None:
        # Called inside consume(): what was processed is committed, as each batch ends with that.
        self._partitions.remove((one.topic, one.partition) for one in partitions)

    def _lost(self, client: Any, partitions: Sequence[Any]) -> None:
        self._revoked(client, partitions)


def _at(place: Place, offset: int | None = None) -> Any:
    from confluent_kafka import TopicPartition

    return TopicPartition(*place) if offset is None else TopicPartition(*place, offset)
