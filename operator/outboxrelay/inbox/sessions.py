"""Transactions for the worker of services whose framework keeps the session to itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def begin_django(using: str = "default") -> Iterator[Any]:
    """A transaction of Django, for ``begin`` of the worker: ``begin=inbox.begin_django``.

    ``using`` is the database's alias; for another than the default: ``begin=lambda: inbox.begin_django("events")``.
    Models that the handler saves there are part of the transaction. A session that broke, or is older than
    CONN_MAX_AGE, is replaced before, as Django itself does it before each request.
    """
    from django.db import close_old_connections, connections, transaction

    close_old_connections()
    with transaction.atomic(using=using):
        yield connections[using]
