"""Where the tests run: addresses of the servers, the context, the image, and what may be broken there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Rig:
    """The local cluster (`python3 -m tests.cluster run -- …`), or one of the user's own (OUTBOXRELAY_CONTEXT)."""

    postgres: str
    kafka: str
    context: str | None
    image: str | None
    is_local: bool
    """Whether servers can be stopped and processes of pods be reached from here."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Rig":
        """Raises KeyError that names the variable that is missing."""
        context = environment.get("OUTBOXRELAY_CONTEXT")
        return cls(
            postgres=environment["OUTBOXRELAY_POSTGRES_URI"],
            kafka=environment["OUTBOXRELAY_KAFKA_SERVERS"],
            context=context,
            image=environment.get("OUTBOXRELAY_IMAGE"),
            is_local=environment.get("OUTBOXRELAY_INSIDE") is not None and context is None,
        )

    def database(self, name: str, *, user: str | None = None, password: str | None = None) -> str:
        """URI of the database ``name`` on the rig's server, for the rig's own role or for ``user``."""
        parts = urlsplit(self.postgres)
        netloc = parts.netloc if user is None else f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(path=f"/{name}", netloc=netloc))
