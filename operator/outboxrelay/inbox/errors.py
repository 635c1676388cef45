"""What goes wrong at the consumer's end.

* InboxError
  x InvalidSettings       settings under which events would be lost, or nothing would be noted
  x ConsumerFailed        the Kafka client cannot go on; the process should end and be started again
  x NotAnEvent            a message without what a relay sends: it cannot be told from a repeat
  x SequenceGap           numbers of a key are missing
  x PartitionStopped      an event cannot be processed; its partition waits, others go on
"""


class InboxError(Exception):
    """The root."""


class InvalidSettings(InboxError):
    """Settings that cannot keep the promise."""


class ConsumerFailed(InboxError):
    """The Kafka client met an error that it cannot recover from."""


class NotAnEvent(InboxError):
    """A message that no relay sent, or whose header cannot be read."""


class SequenceGap(InboxError):
    """``missing`` numbers of ``key`` did not come before ``number``."""

    def __init__(self, key: str, number: int, missing: int, header: str) -> None:
        what = f"{missing} event{'s' if missing > 1 else ''} of key {key!r} did not come before {header} {number}"
        super().__init__(f"{what}: look for them in the producer's quarantine (outboxrelay quarantine list)")
        self.key, self.number, self.missing = key, number, missing


class PartitionStopped(InboxError):
    """A partition waits at an event that cannot be processed; ``__cause__`` is why."""

    def __init__(self, place: tuple[str, int], offset: int, event_id: str, cause: BaseException, attempts: int) -> None:
        tried = f" after {attempts} attempts" if attempts > 1 else ""
        super().__init__(
            f"partition {place[1]} of {place[0]} is stopped at offset {offset}, event {event_id or '(no id)'}{tried}: "
            f"{type(cause).__name__}: {cause}; mend the cause and restart this consumer, or skip the event by "
            "outboxrelay.inbox_accept(id, consumer)"
        )
        self.place, self.offset, self.event_id, self.attempts = place, offset, event_id, attempts
        self.__cause__ = cause
