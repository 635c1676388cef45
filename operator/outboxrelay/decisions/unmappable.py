"""Why a row can never be sent as it is, in words for the person who wrote it."""

from outboxrelay.api.names import Reason


class Unmappable(ValueError):
    """The row can never be sent as it is."""

    reason: Reason = Reason.ROW_UNMAPPABLE


class TooLarge(Unmappable):
    """The row's payload is larger than the relay reads."""

    reason = Reason.ROW_TOO_LARGE
