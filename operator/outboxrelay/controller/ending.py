"""How the controller's process ends: for which reasons, and with which exit code."""

import asyncio

import structlog

from outboxrelay.controller.handlers import WatchEnded
from outboxrelay.controller.leader import LeadershipLost
from outboxrelay.controller.resync import BlindWatch

log = structlog.get_logger(__name__)

EXPECTED_ENDS = (LeadershipLost, BlindWatch, WatchEnded)
EXIT_ENDED = 1


def exit_code(work: asyncio.Task[None], asked: bool, seconds: float) -> int:
    """0 for a stop that was asked for; a bug is raised. ``seconds``: for which its end was waited for."""
    if not work.done():
        log.error("stop_took_too_long", seconds=seconds)
        return EXIT_ENDED
    error = None if work.cancelled() else work.exception()
    if error is None:
        return 0 if asked else EXIT_ENDED
    ends, rest = error.split(EXPECTED_ENDS) if isinstance(error, BaseExceptionGroup) else (None, error)
    if rest is not None and not isinstance(rest, EXPECTED_ENDS):
        raise rest
    for end in _leaves(ends) if ends is not None else [error]:
        log.error("controller_ended", cause=type(end).__name__, message=str(end))
    return EXIT_ENDED


def _leaves(group: BaseException) -> list[BaseException]:
    if not isinstance(group, BaseExceptionGroup):
        return [group]
    return [leaf for item in group.exceptions for leaf in _leaves(item)]
