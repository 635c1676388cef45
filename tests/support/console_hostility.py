"""Texts that would do something to a page that does not take them for text."""

from typing import Any

from outboxrelay.decisions.incidents.status import stamp
from tests.support.relay_bodies import MOMENT, relay_body

SCRIPT = "<script>window.hit=1</script>"
IMAGE = "<img src=x onerror=window.hit=2>"
BREAKOUT = "\"'><svg onload=window.hit=3></title></textarea><style>*{display:none}</style>"
TURNED = "abc\u202egnp.exe\u2066\u200f"
CONTROLS = "a\x00b\x1b[31mc\nd\u2028e\x7f"
TEMPLATE = "{{ 7 * 7 }}{% raw %}"
LONG = "x" * 100_000
TEXTS = (SCRIPT, IMAGE, BREAKOUT, TURNED, CONTROLS, TEMPLATE, LONG)
LINKS = (
    "javascript:window.hit=4",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>window.hit=5</script>",
    "//evil.example/x",
)
NAME = "<b onmouseover=window.hit=6>evil"


def hostile(name: str, text: str, *, link: str = "https://books.example/x") -> dict[str, Any]:
    """An OutboxRelay with ``text`` wherever a text can be."""
    body = relay_body(name)
    moment = stamp(MOMENT)
    body["metadata"]["labels"] = {"outboxrelay.dev/chain": text, "outboxrelay.dev/chain-stage": text}
    body["spec"]["source"]["table"]["name"] = body["spec"]["target"]["topic"] = text
    body["spec"]["dependsOn"] = [text]
    incident = {"id": text, "type": text, "scope": text, "severity": "Critical", "state": "Open", "reason": text}
    incident |= {"startedAt": moment, "detectedAt": moment, "message": text[:1000], "runbook": link}
    step = {"at": text, "from": 1, "to": 2, "reason": text, "message": text}
    decision = {"at": text, "replicas": 1, "desired": 1, "reason": text, "message": text, "minimum": 1, "maximum": 2}
    decision |= {"maximumFrom": text, "gates": [{"name": text, "shut": True, "detail": text}]}
    condition = {"status": "False", "reason": text[:1024], "message": text[:4096], "lastTransitionTime": moment}
    body["status"] = {
        "conditions": [{"type": kind, **condition} for kind in ("Ready", "ScalingActive", text[:300])],
        "incidents": [incident],
        "held": {"keys": 1, "examples": [text]},
        "limitations": [text],
        "notices": [text],
        "scaling": {"desiredReplicas": 1, "summary": text, "lastStep": step, "lastDecision": decision},
    }
    return body
