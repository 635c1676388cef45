"""How a database is reached: settings from spec and Secrets, and one way to open a connection.

Connections work behind a transaction pooler: no named prepared statements, and nothing is SET for the session.
"""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import asyncpg

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.adapters.postgres_errors import CLIENT_ERRORS, raised_for
from outboxrelay.adapters.postgres_uri import parse_uri
from outboxrelay.api.names import Reason
from outboxrelay.api.references import SecretKeyReference
from outboxrelay.api.source import Database
from outboxrelay.errors import Fault, SourceFault

KEPT = 100
"""Statements of one connection that are prepared only once."""
REFUSES_WRITES = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"


@dataclass(frozen=True, slots=True)
class ConnectSettings:
    """Everything that a connection needs; hashable, so that equal settings can share one. repr hides the password."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str | None = field(repr=False)
    database: str
    ssl_mode: str
    ca: str | None = field(repr=False)
    connect_timeout: float
    certificate: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)


def resolve(database: Database, credentials: Credentials, *, direct: bool = False) -> ConnectSettings:
    """Settings from the spec and the Secrets it names; raises SourceFault where one is missing or unusable.

    ``direct``: past the pooler, where spec.source.database.direct says where the server itself is.
    """
    try:
        ca = credentials.read(database.ca_secret_ref) if database.ca_secret_ref else None
        if database.uri_secret_ref:
            settings = _from_uri(database, database.uri_secret_ref, credentials, ca)
        else:
            settings = _from_fields(database, credentials, ca)
        if proof := database.client_certificate_secret_ref:
            certificate, key = credentials.read(proof.certificate), credentials.read(proof.private_key)
            settings = replace(settings, certificate=certificate, private_key=key)
    except Fault as fault:
        raise SourceFault(fault.reason, fault.message) from None
    if direct and (address := database.direct):
        name = address.name or settings.database
        settings = replace(settings, hosts=((address.host, address.port),), database=name)
    return settings


def place_of(database: Database, credentials: Credentials) -> str | None:
    """Which servers and which database ``credentials`` lead to; None where they lead nowhere."""
    try:
        settings = resolve(database, credentials)
    except SourceFault:
        return None
    return f"{settings.hosts} {settings.database}"


def _from_uri(
    database: Database, reference: SecretKeyReference, credentials: Credentials, ca: str | None
) -> ConnectSettings:
    uri = parse_uri(credentials.read(reference), f"key {reference.key} of Secret {reference.name}")
    return ConnectSettings(
        hosts=uri.hosts,
        user=uri.user,
        password=uri.password,
        database=uri.database,
        ssl_mode=uri.ssl_mode or database.ssl_mode,
        ca=ca,
        connect_timeout=float(uri.connect_timeout or database.connect_timeout_seconds),
    )


def _from_fields(database: Database, credentials: Credentials, ca: str | None) -> ConnectSettings:
    login = database.credentials_secret_ref
    if not (database.host and database.name and login):
        raise SourceFault(Reason.INVALID_SPEC, "spec.source.database: set uriSecretRef, or host, name and credentials")
    return ConnectSettings(
        hosts=((database.host, database.port),),
        user=credentials.read(login.username),
        password=credentials.read(login.password),
        database=database.name,
        ssl_mode=database.ssl_mode,
        ca=ca,
        connect_timeout=float(database.connect_timeout_seconds),
    )


async def connect(
    settings: ConnectSettings, *, application_name: str, statement_timeout: float, keeps_statements: bool = False
) -> asyncpg.Connection:
    """An open connection whose statements are given up after ``statement_timeout`` s; raises SourceFault.

    One that ``keeps_statements`` prepares each only once; behind a transaction pooler that cannot be done.
    Of several hosts the first that accepts writes is taken, whatever is wrong with those before it: one that starts up,
    is full, or lacks the database is no reason not to ask the next.
    """
    context, faults = _tls_context(settings), []
    for address in settings.hosts:
        try:
            connection = await _connect(
                address, settings, context, application_name, statement_timeout, KEPT if keeps_statements else 0
            )
            if len(settings.hosts) == 1 or await _accepts_writes(connection, settings.connect_timeout):
                return connection
        except SourceFault as fault:
            faults.append(fault)
    raise faults[0] if faults else SourceFault(Reason.READ_ONLY, "none of the hosts accepts writes")


async def _connect(
    address: tuple[str, int],
    settings: ConnectSettings,
    context: ssl.SSLContext | None,
    application_name: str,
    statement_timeout: float,
    statements: int,
) -> asyncpg.Connection:
    """One attempt at one host; raises SourceFault."""
    _check_host(address[0])
    try:
        async with asyncio.timeout(settings.connect_timeout):
            return await asyncpg.connect(
                host=address[0],
                port=address[1],
                user=settings.user,
                # An empty one keeps asyncpg from looking into PGPASSWORD and ~/.pgpass.
                password=settings.password or "",
                database=settings.database,
                ssl=context or False,
                direct_tls=False,
                timeout=settings.connect_timeout,
                command_timeout=statement_timeout,
                statement_cache_size=statements,
                max_cached_statement_lifetime=0,
                server_settings={"application_name": application_name[:63]},
            )
    except CLIENT_ERRORS as error:
        raise raised_for(error) from None


async def _accepts_writes(connection: asyncpg.Connection, seconds: float) -> bool:
    """Whether it leads to a primary; closed where it does not. Raises SourceFault."""
    accepts = False
    try:
        async with asyncio.timeout(seconds):
            accepts = not await connection.fetchval(REFUSES_WRITES)
    except CLIENT_ERRORS as error:
        raise raised_for(error) from None
    finally:
        if not accepts:
            connection.terminate()
    return accepts


def _check_host(host: str) -> None:
    """What is no host name at all would be raised from deep inside, as if it were a bug."""
    try:
        host.encode("idna")
    except UnicodeError:
        message = f"the database's host name {host[:80]!r} is none: each part of it has 1 to 63 characters"
        raise SourceFault(Reason.CONNECT_FAILED, message) from None


def _tls_context(settings: ConnectSettings) -> ssl.SSLContext | None:
    """None for plaintext. Without certificates of its own, ``require`` encrypts and verifies nothing, as in libpq."""
    if settings.ssl_mode == "disable":
        return None
    try:
        context = ssl.create_default_context(cadata=settings.ca)
    except (ssl.SSLError, ValueError):
        raise SourceFault(Reason.TLS_FAILED, "the value of caSecretRef holds no PEM certificate") from None
    context.check_hostname = settings.ssl_mode == "verify-full"
    if settings.ssl_mode == "require" and settings.ca is None:
        context.verify_mode = ssl.CERT_NONE
    if settings.certificate is not None and settings.private_key is not None:
        _load_proof(context, settings.certificate, settings.private_key)
    return context


def _load_proof(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Python loads a certificate from files only; these live in memory, as the pod's file system is read-only."""
    with _in_memory(certificate) as chain, _in_memory(private_key) as key:
        try:
            context.load_cert_chain(chain, key, password=_no_password)
        except (ssl.SSLError, ValueError):
            place = "the Secret of spec.source.database.clientCertificateSecretRef"
            message = f"{place} holds no PEM certificate with its unencrypted private key"
            raise SourceFault(Reason.TLS_FAILED, message) from None


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    descriptor = os.memfd_create("outboxrelay-proof")
    try:
        with os.fdopen(os.dup(descriptor), "w") as file:
            file.write(text + "\n")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Without it OpenSSL would ask for one at the terminal."""
    return ""
