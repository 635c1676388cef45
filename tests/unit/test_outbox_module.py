"""The producer's and the consumer's module: what they load, and the statement that is sent."""

import subprocess
import sys

import pytest

from outboxrelay import outbox
from outboxrelay.outbox.calls import Argument, Call
from outboxrelay.outbox.drivers import driver_of
from outboxrelay.outbox.publishing import publish_call

LOADED = """
import sys
before = set(sys.modules)
import {module}
import pkgutil, importlib
for found in pkgutil.walk_packages({module}.__path__, "{module}."):
    importlib.import_module(found.name)
roots = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(roots - set(sys.stdlib_module_names)))
print(sorted(n for n in sys.modules if n.startswith("outboxrelay.") and not n.startswith({allowed})))
"""


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("outboxrelay.outbox", ("outboxrelay.outbox",)),
        ("outboxrelay.inbox", ("outboxrelay.outbox", "outboxrelay.inbox")),
    ],
)
def test_importing_it_loads_nothing_but_the_standard_library(module: str, allowed: tuple[str, ...]) -> None:
    code = LOADED.format(module=module, allowed=allowed)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["['outboxrelay']", "[]"]


def test_the_statement_names_every_argument_and_quotes_every_name() -> None:
    call = Call(("s", 'f"x'), (Argument("a b", "text", "1"), Argument("payload", "jsonb", "{}")))
    assert call.text({"a b": "$1", "payload": "$2"}) == (
        'SELECT "s"."f""x"("a b" => CAST($1 AS text), "payload" => CAST($2 AS jsonb))'
    )


def test_without_opentelemetry_there_is_no_trace_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    assert outbox.current_traceparent() is None


def test_a_payload_that_is_no_json_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        publish_call("T", "k", float("nan"), None, None, None, "outbox_publish")


async def test_what_is_no_session_is_named() -> None:
    with pytest.raises(outbox.UnknownConnection, match=r"builtins\.object cannot be used here: give asyncpg"):
        await outbox.publish(object(), "T", "k", {})
    with pytest.raises(outbox.UnknownConnection, match="give psycopg"):
        outbox.publish_sync(object(), "T", "k", {})


def test_the_driver_is_known_by_what_a_class_inherits_too() -> None:
    made = type("Connection", (), {"__module__": "asyncpg.connection"})
    mine = type("Mine", (made,), {"__module__": "shop.database"})
    assert driver_of(mine()) == "asyncpg"
