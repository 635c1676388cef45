"""After a process ended without saying goodbye: which rows may have ended it, and how they are sent.

An attempt that was started and never finished is suspicious. Until as many rows as can have been in flight went well,
attempts are written down before they are made; rows under suspicion go alone, so that only the guilty one gains on its
count.
"""

from collections.abc import Mapping, Sequence

from outboxrelay.decisions.rows import ROW_ID, Row, RowId

CAREFUL_LIMIT = 50
"""Rows of a batch while careful: as many come under suspicion when one of them ends the process."""


def sift(rows: Sequence[Row], suspects: Mapping[RowId, int], most: int) -> tuple[list[Row], list[Row]]:
    """Rows to send now, and rows that must not be sent any more.

    ``suspects``: attempts of a row that were started and never finished; at ``most`` of them the row is condemned.
    What is returned first either holds no suspect or is one suspect alone; what follows it in ``rows`` comes later.
    """
    send: list[Row] = []
    condemned: list[Row] = []
    for row in rows:
        open_attempts = suspects.get(row[ROW_ID], 0)
        if open_attempts >= most:
            condemned.append(row)
        elif open_attempts:
            if not send:
                send.append(row)
            break
        else:
            send.append(row)
    return send, condemned
