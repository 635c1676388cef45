"""Which relay wants which table, as far as the leader knows, so that no two work on one."""

from collections.abc import Callable

from outboxrelay.api.names import Reason
from outboxrelay.decisions.blindness import Key
from outboxrelay.decisions.conflicts import Claim, older_claim
from outboxrelay.decisions.facts import Verdict

Table = tuple[str, str, str]
"""Database, schema and table."""


class Claims:
    """Claims by relay; whoever a change concerns is woken."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._claims: dict[Key, Claim] = {}
        self._rivals: dict[Table, dict[Key, Claim]] = {}
        """By what the tables are called: only those of one name can be the same."""
        self._wake = wake

    def state(self, key: Key, claim: Claim) -> Verdict | None:
        """Enter a relay's claim; gives the refusal where an older relay has the table."""
        before = self._claims.get(key)
        if before != claim:
            self._remove(key, before)
            self._claims[key] = self._rivals.setdefault(_table(claim), {})[key] = claim
            self._wake_others(key, before)
            self._wake_others(key, claim)
        older = older_claim(claim, self._rivals[_table(claim)].values())
        if older is None:
            return None
        place = claim.place
        message = (
            f"OutboxRelay {older.relay} is older and delivers {place.schema}.{place.table} of database "
            f"{place.database} already; delete one of the two, or set the older one's state to Stopped"
        )
        return Verdict(Reason.CONFLICTING_RELAY, message)

    def withdraw(self, key: Key) -> None:
        """Remove the claim of a relay that is gone, stopped, or cannot say which table it means."""
        claim = self._claims.pop(key, None)
        self._remove(key, claim)
        self._wake_others(key, claim)

    def _remove(self, key: Key, claim: Claim | None) -> None:
        if claim is None:
            return
        rivals = self._rivals[_table(claim)]
        del rivals[key]
        if not rivals:
            del self._rivals[_table(claim)]

    def _wake_others(self, key: Key, claim: Claim | None) -> None:
        for other in self._rivals.get(_table(claim), {}) if claim is not None else ():
            if other != key:
                self._wake(other)


def _table(claim: Claim) -> Table:
    return claim.place.database, claim.place.schema, claim.place.table
