"""When credentials whose files changed are tried, and when again: one side of a relay, the database or the brokers.

Values are known here by fingerprints only. What was seen once may be half of a change (one file of two, a file that is
missing for a moment), so it counts when it is seen twice; where what is in use does not work any more, at once.
"""

from dataclasses import dataclass, replace
from typing import Literal

from outboxrelay.decisions.retries import BackoffPolicy, backoff

LOOK_SECONDS = 2.0
"""Between looks at the files."""
ATTEMPTS = BackoffPolicy(initial=5.0, maximum=300.0, multiplier=2.0)
"""Between attempts with the same values: each is a failed login at the server, which may lock the user out."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of the files of one side, and of what they held."""

    seen: str | None = None
    """Fingerprint of what they held at the last look."""
    steady: bool = False
    """Whether the look before found the same."""
    ready: str | None = None
    """Fingerprint of values that work and wait for their turn."""
    refused: str | None = None
    """Fingerprint of the last values that did not work."""
    failures: int = 0
    """Attempts with ``refused``."""
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now."""

    action: Literal["Keep", "Wait", "Try", "Drop"]
    """Keep what is in use; Wait with a change; Try what the files hold; Drop what was made ready."""
    reason: str


def looked(watched: Watched, on_file: str) -> Watched:
    """After a look that found ``on_file``."""
    return replace(watched, seen=on_file, steady=watched.seen == on_file)


def decide(watched: Watched, in_use: str | None, now: float, *, doubted: bool) -> Step:
    """What to do about what the last look found.

    ``in_use``: fingerprint of values that have worked, None where none have; ``doubted``: they do not work any more.
    """
    if in_use is None:
        return Step("Keep", "nothing has worked yet: every attempt to connect reads the files")
    if watched.seen == in_use:
        if watched.ready is not None:
            return Step("Drop", "the files hold what is in use")
        return Step("Keep", "the files hold what is in use")
    if watched.seen == watched.ready:
        return Step("Wait", "what the files hold works, and takes over at the end of the batch")
    if not (watched.steady or doubted):
        return Step("Wait", "the files changed just now: they may hold half of a change")
    if watched.seen == watched.refused and now < watched.retry_at and not doubted:
        return Step("Wait", f"what the files hold did not work {watched.failures} times")
    return Step("Try", "the files hold something else than what is in use")


def trying(watched: Watched) -> Watched:
    """Something else is tried than what was ready, if anything was."""
    return replace(watched, ready=None)


def prepared(watched: Watched, fingerprint: str) -> Watched:
    """``fingerprint`` works."""
    return replace(watched, ready=fingerprint, refused=None, failures=0, retry_at=0.0)


def refused(watched: Watched, fingerprint: str, now: float, chance: float) -> Watched:
    """``fingerprint`` does not work; ``chance`` from 0 to 1 spreads the next attempts of many processes."""
    failures = watched.failures + 1 if watched.refused == fingerprint else 1
    wait = backoff(ATTEMPTS, failures, chance)
    return replace(watched, ready=None, refused=fingerprint, failures=failures, retry_at=now + wait)


def over(watched: Watched) -> Watched:
    """What was ready is in use now, or was dropped."""
    return replace(watched, ready=None, refused=None, failures=0, retry_at=0.0)
