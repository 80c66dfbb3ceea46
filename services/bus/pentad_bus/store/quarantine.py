"""A segment of the log that cannot be taken over whole: what can be is, and what cannot is set aside.

One row that the tables refuse must not keep all that comes behind it out of the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.store.archive import Merged, merged
from pentad_bus.store.journal import Changes, DeadRow, MessageRow
from pentad_bus.store.log import decode, encode
from pentad_bus.store.statements import Statements
from pentad_common.ids import new_id

UNSTORABLE = "UNSTORABLE"
"""Why a message became a dead letter that still waited when its row was refused."""

TakeOver = Callable[[Any, Merged], None]
"""Writes rows with a cursor."""


def sift(
    cursor: Any, statements: Statements, segment: bytes, take_over: TakeOver, now: float
) -> tuple[int, bytes]:
    """Takes over what can be: how many messages could not, and a segment of them (empty: none).

    A segment that cannot even be read is given back as it is. Of a message that still waits, a dead letter is
    made, if that can be stored.
    """
    try:
        whole = merged([decode(segment)])
    except Exception:
        return 0, segment
    refused = Changes()
    for message in whole.messages:
        seq = message[0]
        entries = {key: found for key, found in whole.entries.items() if key[0] == seq}
        piece = Merged(messages=[message], entries=entries)
        error = _attempt(cursor, take_over, piece)
        if error is not None:
            refused.messages.append(message)
            refused.entries += [found[0] for found in entries.values()]
            for _, inbox_id in entries:
                _attempt(cursor, _burial(statements, message, inbox_id, error, now), piece)
    rest = Merged(removed=whole.removed, retried=whole.retried, settled=whole.settled)
    if _attempt(cursor, take_over, rest) is not None:
        return len(refused.messages), segment
    return len(refused.messages), encode(refused) if refused else b""


def _attempt(cursor: Any, take_over: TakeOver, piece: Merged) -> Exception | None:
    cursor.execute("SAVEPOINT piece")
    try:
        take_over(cursor, piece)
    except Exception as error:
        cursor.execute("ROLLBACK TO SAVEPOINT piece")
        return error
    cursor.execute("RELEASE SAVEPOINT piece")
    return None


def _burial(statements: Statements, row: MessageRow, inbox_id: int, error: Exception, now: float) -> TakeOver:
    def bury(cursor: Any, _piece: Merged) -> None:
        _, _, tenant_id, body = row
        recipient = statements.inbox_name(cursor, inbox_id)
        message_id = Message.FromString(body).id
        detail = f"the history could not take it: {error}"[:1024]
        dead = DeadRow(new_id(), tenant_id, message_id, recipient, UNSTORABLE, detail, 0, body, now)
        statements.insert_dead(cursor, [dead])

    return bury
