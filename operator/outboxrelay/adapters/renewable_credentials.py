"""The values with which one side is connected, held against those that its files hold now.

A change of the files changes nothing by itself: the relay tries it first (relay/renewal.py). Only who has nothing to
lose, because nothing is connected, takes what the files hold at once, and what was in use where that does not work.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from outboxrelay.adapters.credentials import Credentials
from outboxrelay.api.references import SecretKeyReference
from outboxrelay.errors import Fault

T = TypeVar("T")

READINGS = 3
"""Two readings that agree show that no file was replaced between two of one reading."""
_SALT = secrets.token_bytes(32)


class Values:
    """What every reference led to at one moment; satisfies Credentials."""

    def __init__(self, found: Mapping[tuple[str, str], str | Fault]) -> None:
        self._found = dict(found)
        self.fingerprint = _fingerprint(self._found)
        """Equal for equal values; says nothing of them, and differs from process to process."""

    def read(self, reference: SecretKeyReference) -> str:
        """The value; raises the Fault that reading it raised."""
        value = self._found[reference.name, reference.key]
        if isinstance(value, Fault):
            raise Fault(value.reason, value.message)
        return value


class RenewableCredentials:
    """What one side connects with. ``references``: every key that it needs, and no other.

    ``place`` says which server some values lead to, where that is in the Secrets too.
    """

    def __init__(
        self,
        files: Credentials,
        references: Iterable[SecretKeyReference],
        place: Callable[[Credentials], str | None] = lambda _: None,
    ) -> None:
        self._files = files
        self._references = tuple(references)
        self._place = place
        self._refused: str | None = None
        self.current = self.on_file()
        """What is in use, or would be."""
        self.proven = False
        """Whether ``current`` has worked."""
        self.version = 0
        """Grows whenever other values come into use."""
        self.pinned = False
        """Whether ``current`` stays what is in use: locks are held where it leads to."""
        self.doubted = asyncio.Event()
        """Set where ``current``, though pinned, did not connect: it is time to look at the files."""

    def on_file(self) -> Values:
        """What the files hold now; a value that is missing is a Fault in it."""
        found = self._reading()
        for _ in range(READINGS - 1):
            again = self._reading()
            if again == found:
                break
            found = again
        return Values({place: _value(item) for place, item in found.items()})

    @property
    def place(self) -> str | None:
        """Where what is in use leads to; None where that is nowhere, or not in the Secrets."""
        return self._place(self.current)

    async def connect(self, attempt: Callable[[Values], Awaitable[T]]) -> T:
        """The result of ``attempt`` with the first values that work, which are in use from then on unless pinned.

        Raises the Fault of those on file where none work.
        """
        on_file = self.on_file()
        faults: dict[str, Fault] = {}
        for values in self._candidates(on_file):
            try:
                found = await attempt(values)
            except Fault as fault:
                faults[values.fingerprint] = fault
                if self.pinned:
                    self.doubted.set()
            else:
                if not self.pinned:
                    self.adopt(values)
                return found
        # What is wrong with what the files hold is what somebody can mend.
        raise faults.get(on_file.fingerprint) or faults[self.current.fingerprint]

    def adopt(self, values: Values) -> None:
        """``values`` work, and are in use."""
        if values.fingerprint != self.current.fingerprint:
            self.version += 1
        self.current, self.proven = values, True

    def refuse(self, values: Values) -> None:
        """``values`` did not work: from now on they are only a last resort."""
        self._refused = values.fingerprint

    def _candidates(self, on_file: Values) -> Sequence[Values]:
        """What to connect with, the likeliest first."""
        if on_file.fingerprint == self.current.fingerprint:
            return (self.current,)
        if not self.proven:
            return (on_file,)
        if self.pinned:
            # Not elsewhere, for there the locks mean nothing.
            same = self.place is not None and self._place(on_file) == self.place
            return (self.current, on_file) if same else (self.current,)
        return (self.current, on_file) if on_file.fingerprint == self._refused else (on_file, self.current)

    def _reading(self) -> dict[tuple[str, str], str | tuple[str, str]]:
        """Faults as pairs, because those compare."""
        found: dict[tuple[str, str], str | tuple[str, str]] = {}
        for reference in self._references:
            try:
                found[reference.name, reference.key] = self._files.read(reference)
            except Fault as fault:
                found[reference.name, reference.key] = (fault.reason, fault.message)
        return found


class OneSide:
    """What the relay's Renewal tells of a side, whichever it is."""

    def __init__(self, credentials: RenewableCredentials) -> None:
        self._credentials = credentials

    @property
    def doubted(self) -> asyncio.Event:
        """Set where a connection was lost and what is in use, though pinned, does not connect any more."""
        return self._credentials.doubted

    def in_use(self) -> str | None:
        """Fingerprint of the values that are connected with, None where none have worked."""
        return self._credentials.current.fingerprint if self._credentials.proven else None

    def on_file(self) -> str:
        """Fingerprint of what the files hold now."""
        return self._credentials.on_file().fingerprint


def renewable(
    credentials: Credentials | RenewableCredentials, references: Iterable[SecretKeyReference]
) -> RenewableCredentials:
    """``credentials`` as they are where they can be renewed together with others; else on their own."""
    if isinstance(credentials, RenewableCredentials):
        return credentials
    return RenewableCredentials(credentials, references)


def _value(item: str | tuple[str, str]) -> str | Fault:
    return item if isinstance(item, str) else Fault(*item)


def _fingerprint(found: Mapping[tuple[str, str], str | Fault]) -> str:
    digest = hashlib.blake2b(key=_SALT, digest_size=16)
    for (name, key), value in sorted(found.items(), key=lambda item: item[0]):
        said = f"fault {value.reason} {value.message}" if isinstance(value, Fault) else f"value {value}"
        for part in (name, key, said):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
