"""Who is answered at all: requests that read, under a name of this machine.

A page of anybody's can have its own name point to 127.0.0.1 (DNS rebinding), and would then read the console of whoever
looks at it. The browser still says that page's name in the Host header, so only names of the machine itself pass.
"""

from outboxrelay.controller.console.answers import TEXT, Answer, Request
from outboxrelay.decisions.fleet import printable

NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
METHODS = ("GET", "HEAD")
SHOWN = 100


def refusal(request: Request) -> Answer | None:
    """Why the request is not answered; None where it is."""
    if _name(request.host) not in NAMES:
        asked = printable(request.host)[:SHOWN] or "nothing"
        text = (
            f"the console answers under localhost, 127.0.0.1 and [::1] only, and was asked as {asked}: "
            "open it as http://localhost:PORT, where kubectl port-forward listens\n"
        )
        return Answer(text, 403, TEXT)
    if request.method not in METHODS:
        text = "the console only shows: use GET or HEAD, and kubectl or outboxrelay to change something\n"
        return Answer(text, 405, TEXT, {"Allow": ", ".join(METHODS)})
    return None


def _name(host: str) -> str:
    """The host without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    with_port = bool(colon) and port.isascii() and port.isdecimal() and not name.endswith(":")
    return (name if with_port else host).lower()
