"""Deleting from the journal what is not kept any longer, on a connection that may write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from pentad_common.models import BusMessage, DeadLetter


def sweep(connection: Any, aged: int, keep: int, floor: int, most: int, excess: int) -> tuple[int, int]:
    """Deletes messages up to the seq `aged`, those beyond the newest `keep`, and the oldest `excess` bytes.

    Never the newest one, from which seqs go on, nor any from `floor` on; how many, and their bytes.
    """
    newest = connection.execute(select(func.max(BusMessage.seq))).scalar() or 0
    aged = max(aged, newest - keep)
    oldest = (
        select(BusMessage.seq, func.length(BusMessage.body).label("size"))
        .where(BusMessage.seq < min(floor, newest))
        .order_by(BusMessage.seq)
        .limit(most)
    )
    last, size = 0, 0
    for row in connection.execute(oldest).all():
        if row.seq > aged and size >= excess:
            break
        last, size = row.seq, size + row.size
    if not last:
        return 0, 0
    found = connection.execute(delete(BusMessage).where(BusMessage.seq <= last))
    connection.commit()
    return int(found.rowcount), size


def sweep_dead(connection: Any, before: datetime, keep: int, most: int) -> int:
    """Deletes the oldest dead letters: those from before `before`, and those beyond the newest `keep`."""
    excess = (connection.execute(select(func.count()).select_from(DeadLetter)).scalar() or 0) - keep
    oldest = select(DeadLetter.id, DeadLetter.dead_time).order_by(DeadLetter.dead_time, DeadLetter.id)
    rows = connection.execute(oldest.limit(most)).all()
    doomed = [row.id for place, row in enumerate(rows) if place < excess or row.dead_time < before]
    if not doomed:
        return 0
    found = connection.execute(delete(DeadLetter).where(DeadLetter.id.in_(doomed)))
    connection.commit()
    return int(found.rowcount)


def history_size(connection: Any) -> int:
    """Bytes of all messages."""
    return int(connection.execute(select(func.sum(func.length(BusMessage.body)))).scalar() or 0)


def purge(connection: Any, tenant: str, ids: Sequence[str], recipient: str) -> int:
    """Deletes dead letters of a tenant: these, or all of an inbox, or all; how many."""
    doomed = delete(DeadLetter).where(DeadLetter.tenant_id == tenant)
    if ids:
        doomed = doomed.where(DeadLetter.id.in_(list(ids)))
    elif recipient:
        doomed = doomed.where(DeadLetter.recipient == recipient)
    found = connection.execute(doomed)
    connection.commit()
    return int(found.rowcount)
