"""What the console is asked, what it answers, and the headers of every answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "outboxrelay",
}
"""Nothing but this origin's own style sheet and script is loaded, nothing inline runs, nobody frames a page, and no
page is kept by the browser."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; bodies are never read."""

    method: str
    path: str
    """Decoded."""
    query: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    """The Host header."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, type, body, and headers beside HEADERS."""

    body: str
    status: int = 200
    content_type: str = HTML
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        """All but the content type."""
        return {**HEADERS, **self.more}
