"""Which topic a row may name: patterns from the spec, and Kafka's own rule for names."""

import re
from collections.abc import Iterable

from outboxrelay.decisions.unmappable import Unmappable

LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""org.apache.kafka.common.internals.Topic: letters, digits, . _ - and at most 249 of them; not . nor .. alone."""
REMEMBERED = 10_000


class Router:
    """Checks the topics that rows name; remembers those it has seen."""

    def __init__(self, template: str, allowed: Iterable[str]) -> None:
        self._template = template
        self._shown = ", ".join(allowed)
        self._allowed = re.compile("|".join(_pattern(item) for item in allowed))
        self._fine: set[str] = set()

    def check(self, topic: str | None) -> str:
        """``topic``, where a row may name it; raises Unmappable."""
        if topic is None:
            raise Unmappable(f"the topic is NULL: a column of spec.target.topicTemplate {self._template} is")
        if topic in self._fine:
            return topic
        if not LEGAL.fullmatch(topic) or topic in (".", ".."):
            raise Unmappable(f"{topic[:80]!r} is no name for a topic: letters, digits, '.', '_' and '-', 249 at most")
        if not self._allowed.fullmatch(topic):
            raise Unmappable(f"topic {topic} is not among spec.target.allowedTopics ({self._shown})")
        if len(self._fine) < REMEMBERED:
            self._fine.add(topic)
        return topic


def _pattern(glob: str) -> str:
    return ".*".join(re.escape(part) for part in glob.split("*"))
