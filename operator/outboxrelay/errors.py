"""Every exception this package raises on purpose. The class decides what happens; the text is for users.

* OutboxRelayError
  x InvalidInput               what somebody wrote is wrong: spec, file, flag, environment (exit code 2)
  x CannotRun                  the machine or the cluster does not let it do what was asked (exit code 1)
  x NotAsked                   the operator had no time for a question: nothing is known of who was to answer
  x Fault                      something outside is wrong; carries a Reason for conditions and reports
    + SourceFault              the database: back off, verify again
      . ServerChanged          it is another server now, or was restarted: forget what is known of its rows
      . RowsLocked             somebody else has locked rows that are to be settled: the others go on
    + TargetFault              the brokers or the topic: open the circuit, back off, start again from the table
      . TopicFault             one topic only: where rows name their topic, the others go on
    + ClusterFault             the Kubernetes API: try again later
    + NotificationFault        a receiver of notifications: try again later, and let nothing wait for it

Anything else that is raised is a bug: the process ends loudly, and the table still has every row.
"""


class OutboxRelayError(Exception):
    """The root. ``str(error)`` says what is wrong, where, and what to do, in one line, without credentials."""


class InvalidInput(OutboxRelayError):
    """What somebody wrote cannot be used; the text names the place."""


class CannotRun(OutboxRelayError):
    """What was asked for is right, and cannot be done now: a port that is taken, a cluster that is not there."""


class NotAsked(OutboxRelayError):
    """A question had no turn, or an answer may have come unnoticed. It says nothing about who was to answer."""


class Fault(OutboxRelayError):
    """Something outside is wrong. ``reason`` is a value of ``outboxrelay.api.names.Reason``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SourceFault(Fault):
    """The database cannot be used now."""


class ServerChanged(SourceFault):
    """The database is another server than before, or was restarted: what was learned of its rows may not hold."""


class RowsLocked(SourceFault):
    """Somebody else has locked some of the rows for longer than it is worth to wait."""


class TargetFault(Fault):
    """The brokers or the topic cannot be used now."""


class TopicFault(TargetFault):
    """One topic cannot be used now, though the brokers answer."""

    def __init__(self, reason: str, message: str, topic: str) -> None:
        super().__init__(reason, message)
        self.topic = topic


class ClusterFault(Fault):
    """The Kubernetes API refused something, or did not answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.status = status
        """HTTP status; 0 where there was no answer."""


class NotificationFault(Fault):
    """A receiver of notifications did not take one. ``permanent`` says that it never will as it is."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__("NotificationFailed", message)
        self.permanent = permanent
