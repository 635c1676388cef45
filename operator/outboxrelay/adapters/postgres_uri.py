"""Reading a libpq URI: asyncpg would quote it in its errors, and send parameters it does not know to the server."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from outboxrelay.api.names import Reason
from outboxrelay.errors import SourceFault

SCHEMES = ("postgresql", "postgres")
SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
PARAMETERS = ("host", "port", "user", "password", "dbname", "sslmode", "connect_timeout", "application_name")
"""Query parameters that are understood; application_name gives way to the relay's own, and changes nothing else."""


@dataclass(frozen=True, slots=True)
class ParsedUri:
    """What a URI says; None where it is silent."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str | None = field(repr=False)
    database: str
    ssl_mode: str | None
    connect_timeout: int | None


def parse_uri(text: str, place: str) -> ParsedUri:
    """The URI in ``text``; raises SourceFault that names ``place`` and never quotes the URI."""
    try:
        parts = urlsplit(text.strip())
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _wrong(place, "is not a URI") from None
    if parts.scheme not in SCHEMES:
        raise _wrong(place, "must start with postgresql://")
    if unknown := sorted(set(query) - set(PARAMETERS)):
        raise _wrong(place, f"has the parameter {unknown[0][:40]!r}, which is not supported: remove it")
    if "\0" in unquote(text) or any("\0" in value for value in query.values()):
        raise _wrong(place, "holds a NUL character")
    login, _, hosts = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    name = query.get("user") or unquote(user)
    database = query.get("dbname") or unquote(parts.path.lstrip("/")) or name
    if not name or not database:
        raise _wrong(place, "names no user" if not name else "names no database")
    return ParsedUri(
        hosts=_hosts(query.get("host") or unquote(hosts), query.get("port"), place),
        user=name,
        password=query.get("password", unquote(password) if colon else None),
        database=database,
        ssl_mode=_ssl_mode(query.get("sslmode"), place),
        connect_timeout=_seconds(query.get("connect_timeout"), place),
    )


def _hosts(text: str, ports: str | None, place: str) -> tuple[tuple[str, int], ...]:
    if not text:
        raise _wrong(place, "names no host")
    given = ports.split(",") if ports else []
    items = text.split(",")
    if len(given) > 1 and len(given) != len(items):
        raise _wrong(place, "has more or fewer ports than hosts")
    found = []
    for index, item in enumerate(items):
        host, _, port = item.rpartition(":") if _has_port(item) else (item, "", "")
        fallback = given[index % len(given)] if given else "5432"
        found.append((host.strip("[]"), _port(port or fallback, place)))
    return tuple(found)


def _has_port(item: str) -> bool:
    return ":" in item.rpartition("]")[2]


def _port(text: str, place: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise _wrong(place, "has a port that is not a number from 1 to 65535")
    return int(text)


def _ssl_mode(text: str | None, place: str) -> str | None:
    if text is not None and text not in SSL_MODES:
        raise _wrong(place, f"has a sslmode that is none of {', '.join(SSL_MODES)}")
    return text


def _seconds(text: str | None, place: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) <= 30:
        raise _wrong(place, "has a connect_timeout that is not a number from 1 to 30")
    return int(text)


def _wrong(place: str, what: str) -> SourceFault:
    return SourceFault(Reason.CONNECT_FAILED, f"the database URI in {place} {what}")
